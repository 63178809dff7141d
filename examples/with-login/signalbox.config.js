import { forwardAuth } from "signalbox";

export default {
  origins: ["http://127.0.0.1:8000"],
  authenticate: [forwardAuth({ url: "http://127.0.0.1:8000/whoami.php" })],
  allow: { broadcast: ["backend", "role:editor"] },
};
