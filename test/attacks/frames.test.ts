import { attackAll } from "./driver.js";
import { FRAMES } from "./frames.js";

attackAll(FRAMES);
