<?php
// Your application, with whatever login it has. Here everybody is who they say: put your own in its place.
session_start();
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    session_regenerate_id(true);
    $name = trim($_POST['name'] ?? '');
    $_SESSION = $name === '' ? [] : ['user' => ['id' => strtolower($name), 'name' => $name, 'roles' => isset($_POST['editor']) ? ['editor'] : []]];
    header('Location: /');
    exit;
}
$user = $_SESSION['user'] ?? null;
header("Content-Security-Policy: frame-ancestors 'none'");
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A page that the hub knows</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
  form, p { margin: 1rem 0; }
  form { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; }
  input, button { font: inherit; padding: 0.3rem 0.6rem; }
</style>
<h1>A page that the hub knows</h1>
<?php if ($user === null) { ?>
<form method="post">
  <label>Your name <input name="name" required autofocus></label>
  <label><input type="checkbox" name="editor"> editor</label>
  <button>Log in</button>
</form>
<?php } else { ?>
<p>The hub says: <strong id="hub" role="status">connecting …</strong> <a id="again" href="/" hidden>Load the page again</a></p>
<p><button id="tell" disabled>Tell all pages</button> <span id="told" role="status"></span></p>
<form method="post"><button>Log out</button></form>
<script type="module">
  const [hubText, again, tell, told] = ["hub", "again", "tell", "told"].map((id) => document.getElementById(id));

  try {
    const { connect } = await import("http://127.0.0.1:8096/signalbox.js");
    const hub = await connect("ws://127.0.0.1:8096/web", { connectTimeout: 5_000 });
    const { name } = hub.ready.user;
    const greet = () => {
      const { name, roles } = hub.ready.user;
      hubText.textContent = `you are ${name}${roles.length > 0 ? `, ${roles.join(", ")}` : ""}.`;
      tell.disabled = false;
    };
    hub.addEventListener("ready", greet);
    greet();

    hub.addEventListener("broadcast", ({ packet }) => { told.textContent = packet.message; });
    hub.addEventListener("close", ({ code }) => {
      tell.disabled = true;
      hubText.textContent = code === 4401 ? "log in again." : "the connection is gone; trying again …";
      again.hidden = code !== 4401;
    });

    tell.onclick = async () => {
      try {
        const { n } = await hub.broadcast(`${name} says hello.`);
        told.textContent = `Told ${n} other page${n === 1 ? "" : "s"}.`;
      } catch (error) {
        told.textContent = error.message;
      }
    };
  } catch (error) {
    hubText.textContent = `nothing: ${error.message}`;
    again.hidden = false;
  }
</script>
<?php } ?>
