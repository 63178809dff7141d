// The page is served by somebody else, so the hub has to be told that it may connect.
export default {
  origins: ["http://127.0.0.1:8000"],
};
