"""Signs a cookie for a test: its argument is a JSON object of user, secret and maxAge."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "tcp-client", "python"))
sys.dont_write_bytecode = True

from signalbox_cookie import sign_cookie  # noqa: E402

given = json.loads(sys.argv[1])
user = given["user"]
more = {key: user[key] for key in ("name", "roles") if key in user}
try:
    sys.stdout.write(sign_cookie(user.get("id"), given["secret"], given["maxAge"], **more))
except (TypeError, ValueError) as error:
    sys.stderr.write(str(error))
    sys.exit(2)
