"""What somebody writes first: nothing in it knows of a worker but `point_at`."""

import fal_client

from framewire.client.fal_sdk import point_at

point_at()
APP, SMALL = "fal-ai/krea-wan-14b", {"prompt": "a fox", "num_blocks": 1, "width": 64, "height": 64}
print(fal_client.run(f"{APP}/text-to-video", arguments=SMALL)["video"]["url"])
with fal_client.SyncClient().realtime(APP) as connection:
    print(connection.recv())
    connection.send(SMALL)
    print(connection.recv()["index"])
