import { attackAll } from "./driver.js";
import { HANDSHAKE } from "./handshake.js";

attackAll(HANDSHAKE);
