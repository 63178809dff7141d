import { DIALOG } from "./dialog.js";
import { attackAll } from "./driver.js";

attackAll(DIALOG);
