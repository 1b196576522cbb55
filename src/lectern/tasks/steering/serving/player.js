// A film with both wheels and the error over time, all moving with its clock.
const wheel = (who, colour) => `
  <figure class="wheel ${who}">
    <svg viewBox="-50 -50 100 100" role="img" aria-label="the wheel of the ${who}">
      <g class="turn" ref="${who}" style="color: var(${colour})">
        <circle r="40" class="rim" /><path d="M-36 4 H36 M0 4 V38" class="spoke" /><circle r="10" class="hub" />
        <path d="M0 -46 V-34" class="mark" />
      </g>
    </svg>
    <figcaption>${who} <b ref="${who}Angle"></b></figcaption>
  </figure>`;

export default {
  props: ["film", "rate", "network", "driver", "degrees"],
  template: `
    <div class="player">
      <video ref="film" :src="film" controls muted playsinline loop preload="auto"></video>
      <div class="wheels">
        <div v-show="driver">${wheel("driver", "--accent")}</div>
        ${wheel("network", "--warm")}
      </div>
      <div class="plot">
        <span class="note">{{ driver ? "Error over time" : "Angle over time" }}</span>
        <svg viewBox="0 0 1000 120" preserveAspectRatio="none" role="img" aria-label="over time" @click="seek">
          <line x1="0" x2="1000" :y1="y(0)" :y2="y(0)" class="zero" />
          <polyline :points="points" class="curve" />
          <line ref="cursor" y1="0" y2="120" class="cursor" />
        </svg>
        <span class="note">{{ summary }}</span>
      </div>
    </div>`,
  computed: {
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
      const mean = this.curve.reduce((sum, value) => sum + Math.abs(value), 0) / this.curve.length;
      const what = this.driver ? "mean error" : "mean angle";
      return `${this.curve.length} frames, ${what} ${mean.toFixed(3)}, largest ${this.limit.toFixed(3)}`;
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
      this.$refs.film.currentTime = (((event.clientX - box.left) / box.width) * this.curve.length) / this.rate;
    },
    turn(who, angle) {
      this.$refs[who].style.transform = `rotate(${angle * this.degrees}deg)`;
      this.$refs[`${who}Angle`].textContent = (angle < 0 ? "−" : "+") + Math.abs(angle).toFixed(3);
    },
    show() {
      const frame = Math.min(this.curve.length - 1, Math.floor(this.$refs.film.currentTime * this.rate + 0.01));
      this.turn("network", this.network[frame]);
      if (this.driver) this.turn("driver", this.driver[frame]);
      this.$refs.cursor.setAttribute("x1", this.x(frame));
      this.$refs.cursor.setAttribute("x2", this.x(frame));
      this.$el.dataset.frame = frame;
      this.next = requestAnimationFrame(() => this.show());
    },
  },
  mounted() {
    this.show();
    this.$refs.film.play().catch(() => {});  // a browser may want a click first: the controls are there
  },
  unmounted() {
    cancelAnimationFrame(this.next);
  },
};
