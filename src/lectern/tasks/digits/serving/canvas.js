// A paper to draw on with mouse, finger or pen: black on white whatever the page's colours, which only the eye sees.
export default {
  template: `<canvas ref="paper" width="560" height="560" class="paper" role="img" aria-label="Draw a digit here"></canvas>`,
  mounted() {
    const paper = this.$refs.paper;
    this.ink = paper.getContext("2d");
    this.clear();
    let last = null;
    const place = (event) => {
      const box = paper.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * 560, ((event.clientY - box.top) / box.height) * 560];
    };
    const draw = (to) => {
      this.ink.beginPath();
      this.ink.moveTo(...last);
      this.ink.lineTo(...to);
      this.ink.stroke();
      last = to;
    };
    paper.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      paper.setPointerCapture(event.pointerId);
      last = place(event);
      draw([last[0] + 0.1, last[1]]);  // a tap is a dot
    });
    paper.addEventListener("pointermove", (event) => {
      if (last === null) return;
      const passed = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const one of passed.length ? passed : [event]) draw(place(one));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      paper.addEventListener(end, () => {
        if (last !== null) this.$emit("drawn");
        last = null;
      });
    }
  },
  methods: {
    clear() {
      Object.assign(this.ink, { fillStyle: "white", strokeStyle: "black", lineWidth: 38, lineCap: "round" });
      this.ink.lineJoin = "round";
      this.ink.fillRect(0, 0, 560, 560);
    },
    picture() {
      return this.$refs.paper.toDataURL("image/png");
    },
  },
};
