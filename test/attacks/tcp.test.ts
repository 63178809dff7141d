import { attackAll } from "./driver.js";
import { TCP } from "./tcp.js";

attackAll(TCP);
