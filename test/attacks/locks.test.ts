import { attackAll } from "./driver.js";
import { LOCKS } from "./locks.js";

attackAll(LOCKS);
