// Play a video, turn both wheels with it, and mark the current frame in a plot of the error or the angle.
const wheel = (name, color) => `
  <figure class="wheel ${name}">
    <svg viewBox="-50 -50 100 100" role="img" aria-label="Steering wheel of the ${name}">
      <g class="turn" ref="${name}" style="color: var(${color})">
        <circle r="40" class="rim" /><path d="M-36 4 H36 M0 4 V38" class="spoke" /><circle r="10" class="hub" />
        <path d="M0 -46 V-34" class="mark" />
      </g>
    </svg>
    <figcaption>${name} <b ref="${name}Angle"></b></figcaption>
  </figure>`;

const KEYS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);

// Return a limit of the vertical axis with at most two digits, which is at least `value`.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const limits = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => Number((factor * power).toPrecision(2)));
  return limits.find((limit) => limit >= value);
}

export default {
  props: ["video", "rate", "network", "driver", "degrees", "unit"],
  template: `
    <div class="player">
      <video ref="video" :src="video" controls muted playsinline loop preload="auto" aria-label="Video"></video>
      <div class="wheels">
        <div v-show="driver">${wheel("driver", "--accent")}</div>
        ${wheel("network", "--warning")}
        <p class="note">Angles: {{ unit }}</p>
      </div>
      <div class="plot">
        <span class="plot-title">{{ title }}: {{ unit }}</span>
        <span class="axis vertical"><span>+{{ limit }}</span><span>0</span><span>−{{ limit }}</span></span>
        <svg ref="plot" viewBox="0 0 1000 120" preserveAspectRatio="none" tabindex="0" role="slider"
          :aria-label="title" aria-valuemin="1" :aria-valuemax="curve.length" @click="seekPoint" @keydown="seekKey">
          <line x1="0" x2="1000" y1="60" y2="60" class="zero" />
          <polyline :points="points" class="curve" />
          <line ref="cursor" y1="0" y2="120" class="cursor" />
        </svg>
        <span class="axis horizontal"><span>0 s</span><span>time</span><span>{{ seconds }} s</span></span>
        <span class="note">{{ summary }}</span>
      </div>
    </div>`,
  computed: {
    title() {
      return this.driver ? "Error (network minus driver)" : "Angle of the network";
    },
    curve() {
      return this.driver ? this.network.map((angle, frame) => angle - this.driver[frame]) : this.network;
    },
    limit() {
      return roundUp(Math.max(0.001, ...this.curve.map(Math.abs)));
    },
    points() {
      return this.curve.map((value, frame) => `${this.x(frame)},${60 - (56 * value) / this.limit}`).join(" ");
    },
    seconds() {
      return Number((this.curve.length / this.rate).toFixed(1));
    },
    summary() {
      const magnitudes = this.curve.map(Math.abs);
      const mean = magnitudes.reduce((sum, value) => sum + value, 0) / magnitudes.length;
      const quantity = this.driver ? "absolute error" : "absolute angle";
      const largest = magnitudes.reduce((most, value) => Math.max(most, value), 0);
      return `${magnitudes.length} frames, mean ${quantity} ${mean.toFixed(3)}, largest ${quantity} ${largest.toFixed(3)}`;
    },
  },
  methods: {
    x(frame) {
      return (1000 * frame) / Math.max(1, this.curve.length - 1);
    },
    seek(frame) {
      const nearest = Math.min(this.curve.length - 1, Math.max(0, frame));
      this.$refs.video.currentTime = (nearest + 0.5) / this.rate;
    },
    seekPoint(event) {
      const box = event.currentTarget.getBoundingClientRect();
      this.seek(Math.floor(((event.clientX - box.left) / box.width) * this.curve.length));
    },
    seekKey(event) {
      const ends = { Home: 0, End: this.curve.length - 1 };
      if (!(event.key in KEYS) && !(event.key in ends)) return;
      event.preventDefault();
      this.$refs.video.pause();
      this.seek(ends[event.key] ?? this.frame + KEYS[event.key]);
    },
    turn(name, angle) {
      this.$refs[name].style.transform = `rotate(${angle * this.degrees}deg)`;
      this.$refs[`${name}Angle`].textContent = signed(angle);
    },
    update() {
      const frame = Math.min(this.curve.length - 1, Math.floor(this.$refs.video.currentTime * this.rate + 0.01));
      if (frame !== this.frame) this.showFrame(frame);
      this.next = requestAnimationFrame(() => this.update());
    },
    showFrame(frame) {
      this.frame = frame;
      this.turn("network", this.network[frame]);
      if (this.driver) this.turn("driver", this.driver[frame]);
      this.$refs.cursor.setAttribute("x1", this.x(frame));
      this.$refs.cursor.setAttribute("x2", this.x(frame));
      this.$refs.plot.setAttribute("aria-valuenow", frame + 1);
      const time = `${((frame + 0.5) / this.rate).toFixed(1)} s`;
      this.$refs.plot.setAttribute("aria-valuetext", `Frame ${frame + 1}, ${time}, ${signed(this.curve[frame])}`);
      this.$el.dataset.frame = frame;
    },
  },
  mounted() {
    this.update();
    // a browser may refuse to play before the first click; then the visitor uses the controls
    const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!reduced) this.$refs.video.play().catch(() => {});
  },
  unmounted() {
    cancelAnimationFrame(this.next);
  },
};
