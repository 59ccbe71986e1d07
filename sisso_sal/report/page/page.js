"use strict";
(() => {
  document.documentElement.classList.add("js");
  const data = JSON.parse(document.getElementById("data").textContent);
  const plot = document.getElementById("map-plot"); // null where the report has no map
  const byId = new Map(data.ids.map((id, row) => [id, row]));
  const isNarrowPage = matchMedia("(max-width: 44rem)");
  // On a narrow page the buttons of plotly would lie on legends.
  const config = () => ({
    displaylogo: false, displayModeBar: isNarrowPage.matches ? false : "hover",
    modeBarButtons: [["toImage", "zoomIn2d", "zoomOut2d", "resetScale2d"]], toImageButtonOptions: { format: "svg", filename: document.title },
  });
  const state = { map: 0, colour: "mean", drag: "select", rows: [], step: -1, marked: null };
  const unpacked = new Map();

  function numbers(text) {
    if (!unpacked.has(text)) {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const view = new DataView(bytes.buffer);
      unpacked.set(text, Float32Array.from({ length: bytes.length / 4 }, (_, k) => view.getFloat32(4 * k, true)));
    }
    return unpacked.get(text);
  }
  const column = (name) => numbers(data.columns[name]);
  const place = (axis) => numbers(data.places[state.map][axis]);
  const shown = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : "not known");

  // Colours follow the page ----------------------------------------------------------------------------------------

  const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // On paper every figure has a size of its own, so that its letters can be read; the style sheet scales it to the column.
  const print = matchMedia("print");
  const PAPER = { "": [330, 270], map: [700, 430], course: [700, 300] };

  function dressed(layout, name) {
    const out = structuredClone(layout);
    if (print.matches) [out.width, out.height] = PAPER[name] || PAPER[""];
    out.autosize = !print.matches;
    if (print.matches && name !== "map") delete out.annotations; // names would cover each other there
    out.paper_bgcolor = out.plot_bgcolor = "rgba(0,0,0,0)";
    out.font = { color: theme("--ink"), size: 12, family: "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" };
    for (const key of Object.keys(out).filter((name) => /^[xy]axis/.test(name))) {
      Object.assign(out[key], { gridcolor: theme("--grid"), linecolor: theme("--faint"), tickcolor: theme("--faint") });
    }
    out.modebar = { bgcolor: "rgba(0,0,0,0)", color: theme("--faint"), activecolor: theme("--accent") };
    out.hoverlabel = { align: "left", bgcolor: theme("--raised"), font: { color: theme("--ink") }, bordercolor: theme("--faint") };
    return out;
  }

  function redress() {
    for (const figure of document.querySelectorAll("[data-figure].js-plotly-plot")) {
      const name = figure.dataset.figure;
      Plotly.react(figure, figure.data, dressed(data.figures[name].layout, name), config());
    }
    if (plot) drawMap(true);
  }

  // The map --------------------------------------------------------------------------------------------------------

  const role = (trace) => trace.meta && trace.meta.role;
  const checked = (name) => [...document.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value);

  function mapFigure() {
    const spec = structuredClone(data.maps[state.map]);
    const visible = new Set(checked("show"));
    const layout = dressed(spec.layout, "map");
    const isNarrow = plot.clientWidth < 500 && !print.matches;
    layout.plot_bgcolor = theme("--field");
    for (const trace of spec.data) {
      if (["known", "candidates", "proposed", "lines"].includes(role(trace))) trace.visible = visible.has(role(trace));
      if (trace.meta && trace.meta.colourings) {
        trace.marker.color = trace.meta.colourings[state.colour].color;
        layout.coloraxis = structuredClone(trace.meta.colourings[state.colour].coloraxis);
      }
      if (["known", "candidates", "proposed"].includes(role(trace))) trace.showlegend = false; // the boxes above are the legend
      if (role(trace) === "known") trace.marker.line.color = theme("--ink");
      if (role(trace) === "candidates" && visible.has("fade")) trace.marker.opacity = trace.meta.sure;
      if (role(trace) === "proposed") {
        trace.textfont.color = isNarrow ? theme("--ink") : "rgba(0,0,0,0)"; // places alone: names would cover each other
        layout.annotations = isNarrow || !visible.has("proposed") ? [] : layout.annotations.map((each) => (
          { ...each, bgcolor: theme("--veil"), font: { ...each.font, color: theme("--ink") } }));
      }
      if (role(trace) === "candidates") trace.marker.line = { width: theme("--edge-width"), color: theme("--edge") };
      if (role(trace) === "lines") {
        trace.line.color = theme("--faint");
        trace.textfont = { size: 11, color: theme("--ink") };
      }
      if (isNarrow && trace.marker) trace.marker.size *= 0.7;
      if (role(trace) === "known" && state.colour !== "mean") {
        delete trace.marker.coloraxis;
        trace.marker.color = theme("--ground");
      }
    }
    layout.dragmode = state.drag;
    layout.uirevision = state.map;
    layout.selectionrevision = state.map;
    layout.coloraxis.colorbar.title.font = { size: 12 };
    layout.margin = { l: 55, r: 10, t: 10, b: 50 };
    if (isNarrow) {
      layout.xaxis.title.text = "d1";
      layout.yaxis.title.text = "d2";
      layout.margin = { l: 42, r: 5, t: 8, b: 40 };
      layout.xaxis.title.standoff = 2;
      layout.coloraxis.colorbar = { ...layout.coloraxis.colorbar, orientation: "h", y: -0.17, yanchor: "top", thickness: 10 };
      layout.coloraxis.colorbar.title.side = "bottom";
    }
    if (state.marked !== null) {
      spec.data.push({
        type: "scatter", mode: "markers", x: [place("x")[state.marked]], y: [place("y")[state.marked]], hoverinfo: "skip",
        showlegend: false, marker: { symbol: "circle-open", size: 26, color: theme("--ink"), line: { width: 3 } }, meta: { role: "marked" },
      });
    }
    return [spec.data, layout];
  }

  function drawMap(isAnew) {
    const [traces, layout] = mapFigure();
    return isAnew && plot.data ? Plotly.react(plot, traces, layout, config()) : Plotly.newPlot(plot, traces, layout, config());
  }

  function says(text) {
    document.getElementById("map-said").textContent = text;
  }

  function told(row) {
    const label = column("label")[row];
    const told = data.classes ? data.classes[row] : shown(label);
    const known = Number.isFinite(label) ? `, known ${told}` : `, score ${shown(column("score")[row])}`;
    return `${data.ids[row]}: predicted ${shown(column("mean")[row])} ± ${shown(column("std")[row])}${known}`;
  }

  function find(id) {
    const wanted = id.trim();
    let row = byId.get(wanted);
    if (row === undefined) {
      const lower = wanted.toLowerCase();
      row = wanted ? data.ids.findIndex((name) => name.toLowerCase().startsWith(lower)) : -1;
    }
    if (row === undefined || row < 0) {
      says(`There is no material ${wanted}`);
      return;
    }
    state.marked = row;
    drawMap(true);
    const inside = Number.isFinite(place("x")[row]) && Number.isFinite(place("y")[row]);
    says(told(row) + (inside ? "" : "; an axis of this map is undefined for it"));
  }

  function inPolygon(x, y, xs, ys) {
    let inside = false;
    for (let i = 0, j = xs.length - 1; i < xs.length; j = i++) {
      if (ys[i] > y !== ys[j] > y && x < ((xs[j] - xs[i]) * (y - ys[i])) / (ys[j] - ys[i]) + xs[i]) inside = !inside;
    }
    return inside;
  }

  function select(holds) {
    const [x, y, score, label] = [place("x"), place("y"), column("score"), column("label")];
    const rows = data.ids.map((_, row) => row).filter((row) => holds(x[row], y[row]));
    const rank = (row) => (Number.isFinite(label[row]) || !Number.isFinite(score[row]) ? -Infinity : score[row]);
    state.rows = rows.sort((a, b) => rank(b) - rank(a) || a - b);
    const known = rows.filter((row) => Number.isFinite(label[row])).length;
    document.getElementById("selection").hidden = false;
    document.getElementById("selected-count").textContent = `${rows.length} selected: ${rows.length - known} candidates, ${known} known`;
    document.getElementById("selected-ids").value = state.rows.map((row) => data.ids[row]).join("\n");
  }

  function selectBox([x0, x1], [y0, y1]) {
    const [left, right, bottom, top] = [Math.min(x0, x1), Math.max(x0, x1), Math.min(y0, y1), Math.max(y0, y1)];
    const form = document.getElementById("region");
    for (const [name, value] of Object.entries({ x0: left, x1: right, y0: bottom, y1: top })) form[name].value = Number.isFinite(value) ? Number(value.toPrecision(5)) : "";
    select((x, y) => x >= left && x <= right && y >= bottom && y <= top);
  }

  function clear() {
    state.rows = [];
    document.getElementById("selection").hidden = true;
    if (plot.layout && plot.layout.selections && plot.layout.selections.length) Plotly.relayout(plot, { selections: [] });
    Plotly.restyle(plot, { selectedpoints: null });
  }

  function listen() {
    plot.on("plotly_selected", (event) => {
      if (!event) return;
      if (event.range) selectBox(event.range.x, event.range.y);
      else if (event.lassoPoints) select((x, y) => inPolygon(x, y, event.lassoPoints.x, event.lassoPoints.y));
    });
    plot.on("plotly_deselect", () => { document.getElementById("selection").hidden = true; });
  }

  // Arrow keys go through the candidates that are drawn, best score first.
  function steps() {
    const list = [];
    plot.data.forEach((trace, curveNumber) => {
      if (!["candidates", "proposed"].includes(role(trace)) || trace.visible === false) return;
      trace.customdata.forEach((point, pointNumber) => list.push({ curveNumber, pointNumber, score: trace.meta.colourings.score.color[pointNumber] ?? -Infinity }));
    });
    return list.sort((a, b) => b.score - a.score);
  }

  function step(event) {
    const list = steps();
    if (!list.length) return;
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      Plotly.Fx.unhover(plot);
      says("");
      plot.blur();
      return;
    }
    if (move === undefined && event.key !== "Home") return;
    event.preventDefault();
    state.step = event.key === "Home" ? 0 : Math.min(Math.max(state.step + move, 0), list.length - 1);
    const { curveNumber, pointNumber } = list[state.step];
    Plotly.Fx.hover(plot, [{ curveNumber, pointNumber }]);
    const text = document.createElement("textarea"); // names are escaped for plotly
    text.innerHTML = plot.data[curveNumber].customdata[pointNumber][0];
    says(`${state.step + 1} of ${list.length} by score. ${told(byId.get(text.value))}`);
  }

  // Copying --------------------------------------------------------------------------------------------------------

  async function copy(text, button) {
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
      button.focus();
    }
    const lines = text.split("\n").length;
    button.parentElement.querySelector(".said").textContent = done ? `copied, ${lines} line${lines === 1 ? "" : "s"}` : "the browser does not allow copying; select the text and copy it";
  }

  function csv(rows) {
    const asText = (id) => (/^'*[=+\-@\t\r]/.test(id) ? `'${id}` : id); // else a spreadsheet computes it
    const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const names = ["label", "mean", "std", "score"];
    const cell = (value) => (Number.isFinite(value) ? Number(value.toPrecision(6)).toString() : "");
    const label = (name, row) => (data.classes && name === "label" ? quoted(asText(data.classes[row])) : cell(column(name)[row]));
    const lines = rows.map((row) => [quoted(asText(data.ids[row])), ...names.map((name) => label(name, row))].join(","));
    return [["id", ...names].join(","), ...lines].join("\n");
  }

  const copies = {
    proposed: () => data.proposed.join("\n"),
    selected: () => state.rows.map((row) => data.ids[row]).join("\n"),
    table: () => csv(state.rows),
    equation: (button) => button.closest("[data-equation]").dataset.equation,
  };

  // Wiring ---------------------------------------------------------------------------------------------------------

  function onChange(event) {
    const { name, value } = event.target;
    if (name === "formula") {
      state.map = Number(value);
      for (const about of document.querySelectorAll(".about-map")) about.hidden = about.dataset.map !== value;
      clear();
    }
    if (name === "colour") state.colour = value;
    if (name === "drag") state.drag = value;
    if (["formula", "colour", "drag", "show"].includes(name)) drawMap(true);
  }

  function listenToMap() {
    document.getElementById("map").addEventListener("change", onChange);
    plot.addEventListener("keydown", step);
    document.getElementById("whole").addEventListener("click", () => {
      const { xaxis, yaxis } = data.maps[state.map].layout;
      Plotly.relayout(plot, { "xaxis.range": [...xaxis.range], "yaxis.range": [...yaxis.range] });
    });
    document.getElementById("clear").addEventListener("click", clear);
    document.getElementById("find").addEventListener("submit", (event) => {
      event.preventDefault();
      find(event.target.elements.wanted.value);
    });
    document.getElementById("region").addEventListener("submit", (event) => {
      event.preventDefault();
      const [x0, x1, y0, y1] = ["x0", "x1", "y0", "y1"].map((name) => event.target.elements[name].value);
      const end = (text, otherwise) => (text === "" ? otherwise : Number(text));
      selectBox([end(x0, -Infinity), end(x1, Infinity)], [end(y0, -Infinity), end(y1, Infinity)]);
    });
  }

  // Details of the proposals ------------------------------------------------------------------------------------------

  function unfold(button, open) {
    button.setAttribute("aria-expanded", String(open));
    document.getElementById(button.getAttribute("aria-controls")).classList.toggle("open", open);
  }

  function unfoldAll(button) {
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "No details" : "All details";
    document.querySelectorAll(".unfold").forEach((each) => unfold(each, open));
  }

  // The glossary as a tooltip -----------------------------------------------------------------------------------------

  const tip = document.getElementById("tip");

  // Symbols of MathML: r with the index cov is the feature r_cov.
  function nameSymbols() {
    for (const symbol of document.querySelectorAll("math mi, math msub, math msubsup")) {
      const [head, index] = symbol.children;
      const name = index ? `${head.textContent}_${index.textContent}` : symbol.textContent;
      if (Object.hasOwn(data.features, name) && !symbol.closest("[data-feature]")) symbol.dataset.feature = name;
    }
  }

  function explain(target) {
    const name = target.closest && target.closest("[data-feature]");
    tip.hidden = !name;
    if (!name) return;
    const about = data.features[name.dataset.feature];
    const number = (value) => (value === null ? "?" : Number(value.toPrecision(4)).toString());
    tip.replaceChildren();
    const title = document.createElement("b");
    title.textContent = name.dataset.feature;
    tip.append(title, about.meaning ? `: ${about.meaning}` : ": what it is was not said");
    const range = document.createElement("div");
    range.innerHTML = `known from ${number(about.low)} to ${number(about.high)} ${about.unit_text}`; // the unit is markup of this page
    tip.append(range);
    if (about.source) {
      const source = document.createElement("div");
      source.className = "small";
      source.textContent = about.source;
      tip.append(source);
    }
    const box = name.getBoundingClientRect();
    const left = Math.max(4, Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 8));
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${box.bottom + scrollY + 6}px`;
  }

  document.addEventListener("mouseover", (event) => explain(event.target));
  document.addEventListener("focusin", (event) => explain(event.target));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
  nameSymbols();

  document.addEventListener("click", (event) => {
    explain(event.target); // a finger does not hover
    const button = event.target.closest("button");
    if (!button) return;
    if (button.id === "unfold-all") unfoldAll(button);
    if (button.classList.contains("unfold")) unfold(button, button.getAttribute("aria-expanded") !== "true");
    if (button.dataset.copy) copy(copies[button.dataset.copy](button), button);
    if (button.dataset.find !== undefined) {
      find(button.dataset.find);
      document.getElementById("map").scrollIntoView();
    }
  });
  document.getElementById("theme").addEventListener("click", () => {
    const isDark = theme("--ground") === "#14171b";
    document.documentElement.dataset.theme = isDark ? "light" : "dark";
    redress();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redress);

  const figures = () => [...document.querySelectorAll(".js-plotly-plot")];

  function fit() {
    if (!print.matches) for (const figure of figures()) Plotly.Plots.resize(figure);
  }

  print.addEventListener("change", redress);
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(fit, 150); });

  // On paper a figure is scaled as a whole: its parts get a box of their own coordinates, and the style sheet the width.
  function keepsShape(figure) {
    const measure = () => {
      const { width, height } = figure._fullLayout;
      for (const svg of figure.querySelectorAll(".main-svg")) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      figure.style.setProperty("--aspect", `${width} / ${height}`);
    };
    measure();
    figure.on("plotly_afterplot", measure);
  }

  async function draw() {
    if (plot) {
      await drawMap(false);
      keepsShape(plot);
      listen();
    }
    for (const figure of document.querySelectorAll("[data-figure]")) {
      await new Promise((next) => setTimeout(next));
      const { data: traces, layout } = data.figures[figure.dataset.figure];
      await Plotly.newPlot(figure, traces, dressed(layout, figure.dataset.figure), config());
      keepsShape(figure);
    }
    document.documentElement.dataset.drawn = String(Math.round(performance.now()));
  }
  if (plot) listenToMap();
  requestAnimationFrame(() => setTimeout(draw)); // the text is there first
})();
