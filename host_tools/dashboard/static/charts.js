"use strict";
// Small line charts in SVG. What a device says becomes text and numbers here, never markup.

const charts = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 300, HEIGHT = 100, MARGIN = 6;

  const svg = (tag, attributes) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const line = (name, x1, y1, x2, y2) => svg("line", { class: name, x1, y1, x2, y2 });
  const number = (value) => String(Number(value.toPrecision(6)));
  const clock = (ms) => new Date(ms).toLocaleTimeString();
  const moment = (ms) => (Date.now() - ms > 86_400_000 ? new Date(ms).toLocaleString() : clock(ms));

  // Returns an element to show, and `update(points)` with points as [Unix ms, number].
  const make = (name) => {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const title = document.createElement("span"), now = document.createElement("strong");
    title.textContent = name;
    caption.append(title, now);
    const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    const curve = svg("polyline", { class: "chart-line" });
    const mark = line("chart-mark", 0, 0, 0, HEIGHT);
    mark.setAttribute("visibility", "hidden");
    drawing.append(line("chart-grid", 0, MARGIN, WIDTH, MARGIN), line("chart-grid", 0, HEIGHT - MARGIN, WIDTH, HEIGHT - MARGIN));
    drawing.append(curve, mark);
    const foot = document.createElement("p"), span = document.createElement("span"), range = document.createElement("span");
    foot.append(span, range);
    figure.className = "card";
    figure.append(caption, drawing, foot);

    let points = [], pointed = null;
    const x = (t) => {
      const first = points[0][0], last = points[points.length - 1][0];
      return last > first ? ((t - first) / (last - first)) * WIDTH : WIDTH;
    };
    const caption_of = (point, isPointed) => {
      now.textContent = number(point[1]) + (isPointed ? ` at ${clock(point[0])}` : "");
      mark.setAttribute("visibility", isPointed ? "visible" : "hidden");
      if (isPointed) for (const end of ["x1", "x2"]) mark.setAttribute(end, x(point[0]));
    };
    const show = () => {
      if (!points.length) return;
      const near = (best, one) => (Math.abs(x(one[0]) - pointed) < Math.abs(x(best[0]) - pointed) ? one : best);
      caption_of(pointed === null ? points[points.length - 1] : points.reduce(near), pointed !== null);
    };
    drawing.addEventListener("pointermove", (event) => {
      const box = drawing.getBoundingClientRect();
      pointed = ((event.clientX - box.left) / box.width) * WIDTH;
      show();
    });
    drawing.addEventListener("pointerleave", () => { pointed = null; show(); });

    const update = (given) => {
      points = [...given].sort((a, b) => a[0] - b[0]);
      const values = points.map((point) => point[1]);
      const low = Math.min(...values), high = Math.max(...values), height = HEIGHT - 2 * MARGIN;
      const y = (value) => (high > low ? HEIGHT - MARGIN - ((value - low) / (high - low)) * height : HEIGHT / 2);
      curve.setAttribute("points", points.map(([t, value]) => `${x(t).toFixed(2)},${y(value).toFixed(2)}`).join(" "));
      const first = points[0][0], last = points[points.length - 1][0];
      span.textContent = last > first ? `${moment(first)} to ${clock(last)}` : clock(last);
      range.textContent = `${number(low)} … ${number(high)}`;
      drawing.setAttribute("aria-label", `${name}: last ${number(values[values.length - 1])}, ` +
        `between ${number(low)} and ${number(high)}, ${points.length} readings`);
      show();
    };
    return { figure, update };
  };
  return { make };
})();
