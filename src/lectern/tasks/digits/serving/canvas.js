// A canvas for drawing with a mouse, a finger or a pen. The pixels are always black on white;
// in dark mode, a CSS filter inverts only the display.
export default {
  template: `<canvas ref="canvas" width="560" height="560" class="drawing-canvas" role="img"
    aria-label="Draw a digit in this area"></canvas>`,
  mounted() {
    const canvas = this.$refs.canvas;
    this.context = canvas.getContext("2d");
    this.clear();
    let last = null;
    const position = (event) => {
      const box = canvas.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * 560, ((event.clientY - box.top) / box.height) * 560];
    };
    const drawLine = (to) => {
      this.context.beginPath();
      this.context.moveTo(...last);
      this.context.lineTo(...to);
      this.context.stroke();
      last = to;
    };
    canvas.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      last = position(event);
      drawLine([last[0] + 0.1, last[1]]);  // a tap draws a dot
    });
    canvas.addEventListener("pointermove", (event) => {
      if (last === null) return;
      const coalesced = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const moved of coalesced.length ? coalesced : [event]) drawLine(position(moved));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => {
        if (last !== null) this.$emit("drawn");
        last = null;
      });
    }
  },
  methods: {
    clear() {
      Object.assign(this.context, { fillStyle: "white", strokeStyle: "black", lineWidth: 38, lineCap: "round" });
      this.context.lineJoin = "round";
      this.context.fillRect(0, 0, 560, 560);
    },
    toDataUrl() {
      return this.$refs.canvas.toDataURL("image/png");
    },
  },
};
