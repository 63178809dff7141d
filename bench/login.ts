import { signCookie } from "../server/main.js";

/** What signs the cookies: it protects nothing between two processes that trust each other. */
export const SECRET = "0123456789abcdef0123456789abcdef";
/** Pages of one user: the windows of one who has many. */
const PAGES = 10;

let pages = 0;
let cookie = "";

/** The cookie of one more page; of each user there are some. The hub that is measured asks who everybody is; the others do not look. */
export function nextCookie(): string {
  if (pages++ % PAGES === 0)
    cookie = `signalbox=${signCookie({ id: `user-${pages}`, roles: ["editor"] }, { secret: SECRET, maxAge: 86_400 })}`;
  return cookie;
}
