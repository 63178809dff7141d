import { attackAll } from "./driver.js";
import { FEEDBACK } from "./feedback.js";

attackAll(FEEDBACK);
