// What is seen of the face: a canvas that shows one frame at a time, and the clip that plays on it.

/** Shows pictures in the order in which they were given, whatever order they are decoded in. */
export class Screen {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.given = 0;
    this.shown = 0;
    this.original = null;
    this.comparing = false;
    this.last = null;
  }

  async show(blob) {
    const number = ++this.given;
    const picture = await createImageBitmap(blob);
    if (number < this.shown) return picture.close();
    this.shown = number;
    this.last?.close();
    this.last = picture;
    if (!this.comparing) this.paint(picture);
  }

  async setOriginal(blob) {
    this.original?.close();
    this.original = await createImageBitmap(blob);
    if (this.comparing) this.paint(this.original);
  }

  compare(on) {
    this.comparing = on;
    const picture = on ? this.original : this.last;
    if (picture) this.paint(picture);
  }

  paint(picture) {
    if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
      this.canvas.width = picture.width;
      this.canvas.height = picture.height;
    }
    this.context.drawImage(picture, 0, 0);
  }
}

/** The frames of one clip as they arrive, played at their own rate; waits where the next is not there yet. */
export class Player {
  constructor(screen, { onFrame, onState }) {
    Object.assign(this, { screen, onFrame, onState });
    this.loop = true;
    this.isPlaying = false;
    this.isHeld = false;      // something is being changed: the clip waits, and nothing of it is shown
    this.begin(null, 1, 25);
  }

  begin(id, total, fps) {
    this.id = id;
    this.frames = [];
    this.total = total;
    this.fps = fps;
    this.at = this.isPlaying ? 0 : Math.min(this.at ?? 0, total - 1);
    if (this.isPlaying) this.restart();
  }

  get isWhole() {
    return this.frames.length >= this.total;
  }

  add(id, number, blob) {
    if (id === this.id) this.frames[number] = blob;
  }

  play() {
    if (this.isPlaying) return;
    this.isPlaying = true;
    if (this.at >= this.total - 1) this.at = 0;
    this.restart();
    this.onState();
    requestAnimationFrame((now) => this.tick(now));
  }

  restart() {
    this.since = performance.now() - (this.at * 1000) / this.fps;
  }

  pause() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.onState();
  }

  /** Shows one frame, if it is there. */
  seek(number) {
    this.at = number;
    if (this.isPlaying) this.restart();
    this.draw();
  }

  tick(now) {
    if (!this.isPlaying) return;
    if (this.isHeld || !this.frames.length) {
      this.restart();
      requestAnimationFrame((time) => this.tick(time));
      return;
    }
    let wanted = Math.floor(((now - this.since) * this.fps) / 1000);
    if (wanted >= this.total) {
      if (!this.loop && this.isWhole) {
        this.at = this.total - 1;
        this.draw();
        this.pause();
        return;
      }
      wanted = this.isWhole ? wanted % this.total : this.total - 1;
    }
    if (wanted !== this.at && wanted >= 0) {
      if (this.frames[wanted]) {
        this.at = wanted;
        this.draw();
      } else {
        // As fast as frames come, and at the clip's own rate once they are here.
        const next = Math.min(this.at + 1, this.total - 1);
        if (this.frames[next]) {
          this.at = next;
          this.draw();
        }
        this.restart();
      }
    }
    requestAnimationFrame((time) => this.tick(time));
  }

  draw() {
    const frame = this.frames[this.at];
    if (frame) this.screen.show(frame);
    this.onFrame(this.at);
  }
}
