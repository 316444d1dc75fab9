// A screen, a window or a tab.

import { Captured } from "./captured.js";

export class Screen extends Captured {
  constructor(changed) {
    super(
      () => navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 30 }, audio: false }),
      {
        title: "screen",
        open: "CHOOSE A SCREEN OR TAB",
        denied: "Nothing was chosen to be shared.",
      },
      changed,
    );
  }
}
