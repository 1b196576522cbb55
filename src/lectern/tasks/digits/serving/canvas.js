// A canvas for drawing with a mouse, a finger, a pen or the keyboard. The pixels are always black on white;
// in dark mode, a CSS filter inverts only the display.
const SIZE = 560;
const STEP = 28; // distance of one key press
const EMIT_MILLISECONDS = 300; // shortest time between two events while the visitor draws
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export default {
  template: `
    <div class="drawing">
      <canvas ref="canvas" width="560" height="560" class="drawing-canvas" tabindex="0" role="application"
        aria-label="Drawing area" :aria-describedby="helpId" @keydown="pressKey" @blur="lowered = false"></canvas>
      <div class="pen" :class="{ lowered }" :style="penStyle"></div>
      <p class="note keyboard-help" :id="helpId">
        Keyboard: move the pen with the arrow keys, lower or raise the pen with the space bar, undo with Ctrl+Z.
      </p>
      <span class="visually-hidden" role="status">{{ penState }}</span>
    </div>`,
  data: () => ({ strokes: [], pen: [SIZE / 2, SIZE / 4], lowered: false, moved: false }),
  computed: {
    helpId() {
      return `keyboard-help-${this.$.uid}`;
    },
    penStyle() {
      return { left: `${(100 * this.pen[0]) / SIZE}%`, top: `${(100 * this.pen[1]) / SIZE}%` };
    },
    penState() {
      const place = this.pen.map((value) => Math.round((100 * value) / SIZE)).join(", ");
      return this.moved ? `Pen ${this.lowered ? "lowered" : "raised"} at ${place} percent` : "";
    },
  },
  mounted() {
    const canvas = this.$refs.canvas;
    let drawing = false;
    const position = (event) => {
      const box = canvas.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * SIZE, ((event.clientY - box.top) / box.height) * SIZE];
    };
    canvas.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      drawing = true;
      this.startStroke(position(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drawing) return;
      const coalesced = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const moved of coalesced.length ? coalesced : [event]) this.extendStroke(position(moved));
      this.emitSoon();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => {
        if (drawing) this.emitDrawing();
        drawing = false;
      });
    }
    this.redraw();
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    startStroke(point) {
      this.strokes.push([point]);
      this.extendStroke([point[0] + 0.1, point[1]]); // a tap draws a dot
    },
    extendStroke(point) {
      const stroke = this.strokes.at(-1);
      this.drawLine(stroke.at(-1), point);
      stroke.push(point);
    },
    drawLine(from, to) {
      const context = this.$refs.canvas.getContext("2d");
      Object.assign(context, { strokeStyle: "black", lineWidth: 38, lineCap: "round", lineJoin: "round" });
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
    },
    redraw() {
      const context = this.$refs.canvas.getContext("2d");
      context.fillStyle = "white";
      context.fillRect(0, 0, SIZE, SIZE);
      for (const stroke of this.strokes) {
        for (let index = 1; index < stroke.length; index++) this.drawLine(stroke[index - 1], stroke[index]);
      }
    },
    pressKey(event) {
      if ((event.ctrlKey || event.metaKey) && event.key === "z") {
        event.preventDefault();
        this.undo();
      } else if (event.key === " ") {
        event.preventDefault();
        this.toggle();
      } else if (event.key in MOVES) {
        event.preventDefault();
        this.movePen(...MOVES[event.key]);
      }
    },
    toggle() {
      this.moved = true;
      this.lowered = !this.lowered;
      if (this.lowered) this.startStroke(this.pen);
      this.emitDrawing();
    },
    movePen(right, down) {
      this.moved = true;
      this.pen = [this.pen[0] + STEP * right, this.pen[1] + STEP * down].map((x) => Math.min(SIZE, Math.max(0, x)));
      if (!this.lowered) return;
      this.extendStroke(this.pen);
      this.emitSoon();
    },
    undo() {
      this.strokes.pop();
      this.lowered = false;
      this.redraw();
      this.emitDrawing();
    },
    clear() {
      this.strokes = [];
      this.lowered = false;
      clearTimeout(this.timer);
      this.timer = null;
      this.redraw();
    },
    emitSoon() {
      this.timer ??= setTimeout(() => this.emitDrawing(), EMIT_MILLISECONDS);
    },
    emitDrawing() {
      clearTimeout(this.timer);
      this.timer = null;
      this.$emit("drawn", this.strokes.length ? this.$refs.canvas.toDataURL("image/png") : "");
    },
  },
};
