import { attackAll } from "./driver.js";
import { RESUME } from "./resume.js";

attackAll(RESUME);
