import { attackAll } from "./driver.js";
import { PROCESS } from "./process.js";

attackAll(PROCESS);
