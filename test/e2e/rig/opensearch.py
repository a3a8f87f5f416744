"""An OpenSearch node; a face for scripts/opensearch.sh."""

import json
import pathlib
import urllib.error
import urllib.request

from rig.script import SCRIPTS, run

SCRIPT = SCRIPTS / "opensearch.sh"


class OpenSearch:
    """Started by the constructor; waits until it answers. `settings`: {name: value} of opensearch.yml. `destroy()` kills and removes it;
    removing `directory` by scripts/cluster.sh does, too."""

    def __init__(self, directory, name, settings=None):
        self.path = pathlib.Path(directory, name).resolve()
        self.url = self._script("start", *[f"{key}={value}" for key, value in (settings or {}).items()]).strip()

    def _script(self, command, *arguments):
        return run(SCRIPT, command, self.path, *arguments)

    def start(self):
        self.url = self._script("start").strip()

    def stop(self):
        self._script("stop")

    def kill(self):
        """kill -9; what it acknowledged stays."""
        self._script("kill")

    def destroy(self):
        self._script("destroy")

    def request(self, method, path, body=None):
        """(HTTP status, answer); `body`: an object, or a list of them, one a line, as bulk requests have them."""
        lines = None
        if body is not None:
            lines = "".join(json.dumps(each) + "\n" for each in body) if isinstance(body, list) else json.dumps(body)
        request = urllib.request.Request(self.url + path, lines and lines.encode(), {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
