// The camera.

import { Captured } from "./captured.js";

export class Camera extends Captured {
  constructor(changed) {
    const video = { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" };
    super(
      () => navigator.mediaDevices.getUserMedia({ video }),
      {
        title: "camera",
        open: "OPEN CAMERA",
        denied: "The camera was not allowed: allow it in the browser's address bar, then try again.",
      },
      changed,
      true,
    );
  }
}
