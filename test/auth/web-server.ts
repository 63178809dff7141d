import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** A server on this host, on any free port; it ends with the test. */
export async function serve(t: TestContext, answer: RequestListener): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

/** Where a server was: nobody listens there any more. */
export async function deadUrl(t: TestContext): Promise<string> {
  const { url, server } = await serve(t, () => {});
  await new Promise((resolve) => server.close(resolve));
  return url;
}
