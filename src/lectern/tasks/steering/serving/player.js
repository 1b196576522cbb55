// Play a video, turn both wheels with it, and mark the current frame in a plot of the error or the angle.
const wheel = (name, color) => `
  <figure class="wheel ${name}">
    <svg viewBox="-50 -50 100 100" role="img" aria-label="steering wheel of the ${name}">
      <g class="turn" ref="${name}" style="color: var(${color})">
        <circle r="40" class="rim" /><path d="M-36 4 H36 M0 4 V38" class="spoke" /><circle r="10" class="hub" />
        <path d="M0 -46 V-34" class="mark" />
      </g>
    </svg>
    <figcaption>${name} <b ref="${name}Angle"></b></figcaption>
  </figure>`;

export default {
  props: ["video", "rate", "network", "driver", "degrees"],
  template: `
    <div class="player">
      <video ref="video" :src="video" controls muted playsinline loop preload="auto"></video>
      <div class="wheels">
        <div v-show="driver">${wheel("driver", "--accent")}</div>
        ${wheel("network", "--warning")}
      </div>
      <div class="plot">
        <span class="note">{{ title }}</span>
        <svg viewBox="0 0 1000 120" preserveAspectRatio="none" role="img" :aria-label="title" @click="seek">
          <line x1="0" x2="1000" :y1="y(0)" :y2="y(0)" class="zero" />
          <polyline :points="points" class="curve" />
          <line ref="cursor" y1="0" y2="120" class="cursor" />
        </svg>
        <span class="note">{{ summary }}</span>
      </div>
    </div>`,
  computed: {
    title() {
      return this.driver ? "Error over time (network minus driver)" : "Angle over time";
    },
    curve() {
      return this.driver ? this.network.map((angle, frame) => angle - this.driver[frame]) : this.network;
    },
    limit() {
      return Math.max(0.05, ...this.curve.map(Math.abs));
    },
    points() {
      return this.curve.map((value, frame) => `${this.x(frame)},${this.y(value)}`).join(" ");
    },
    summary() {
      const magnitudes = this.curve.map(Math.abs);
      const mean = magnitudes.reduce((sum, value) => sum + value, 0) / magnitudes.length;
      const quantity = this.driver ? "absolute error" : "absolute angle";
      return `${magnitudes.length} frames, mean ${quantity} ${mean.toFixed(3)}, maximum ${Math.max(...magnitudes).toFixed(3)}`;
    },
  },
  methods: {
    x(frame) {
      return (1000 * frame) / Math.max(1, this.curve.length - 1);
    },
    y(value) {
      return 60 - (56 * value) / this.limit;
    },
    seek(event) {
      const box = event.currentTarget.getBoundingClientRect();
      this.$refs.video.currentTime = (((event.clientX - box.left) / box.width) * this.curve.length) / this.rate;
    },
    turn(name, angle) {
      this.$refs[name].style.transform = `rotate(${angle * this.degrees}deg)`;
      this.$refs[`${name}Angle`].textContent = (angle < 0 ? "−" : "+") + Math.abs(angle).toFixed(3);
    },
    update() {
      const frame = Math.min(this.curve.length - 1, Math.floor(this.$refs.video.currentTime * this.rate + 0.01));
      this.turn("network", this.network[frame]);
      if (this.driver) this.turn("driver", this.driver[frame]);
      this.$refs.cursor.setAttribute("x1", this.x(frame));
      this.$refs.cursor.setAttribute("x2", this.x(frame));
      this.$el.dataset.frame = frame;
      this.next = requestAnimationFrame(() => this.update());
    },
  },
  mounted() {
    this.update();
    // a browser may refuse to play before the first click; then the visitor uses the controls
    this.$refs.video.play().catch(() => {});
  },
  unmounted() {
    cancelAnimationFrame(this.next);
  },
};
