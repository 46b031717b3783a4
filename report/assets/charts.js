// What a figure's option needs beside data: functions that it names, colours, and room for the legend.
// Used by the page and by the renderer of files; knows ECharts and no document.
'use strict';

const number = (value, digits) => {
  const [whole, part] = value.toFixed(digits).split('.');
  const fraction = (part || '').replace(/0+$/, '');
  return whole.replace(/\B(?=(\d{3})+$)/g, ',') + (fraction && '.' + fraction);
};
// Three significant digits, or all of a whole number.
const plain = (value) => (typeof value === 'string' ? value
  : value === 0 || Number.isInteger(value) ? number(value, 0)
  : number(value, Math.max(0, Math.min(9, 2 - Math.floor(Math.log10(Math.abs(value)))))));
const scaled = (value, units) => {
  for (const [size, unit] of units) if (Math.abs(value) >= size) return plain(Number((value / size).toPrecision(3))) + unit;
  return plain(value);
};
const si = (value) => scaled(value, [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]);
const bytes = (value) => scaled(value, [[2 ** 30, ' GiB'], [2 ** 20, ' MiB'], [2 ** 10, ' KiB']]);
const percent = (value) => number(100 * value, 2) + ' %';

// How values are written in tooltips, by dimension.
const written = {
  'buffer bytes': bytes,
  efficiency: percent,
  area: (value) => si(value) + ' transistors',
};

// The tooltip at a datum of a series: the dimensions that its encoding lists.
const tip = (at, series) => {
  const html = echarts.format.encodeHTML;
  const row = (dimension) => {
    const index = typeof dimension === 'number' ? dimension : series.dimensions.indexOf(dimension);
    const [name, value] = [series.dimensions[index], at.value[index]];
    return `<tr><td>${html(name)}</td><td>${html(String((written[name] || plain)(value)))}</td></tr>`;
  };
  return `<b>${html(at.seriesName)}</b><table class="tip">${series.encode.tooltip.map(row).join('')}</table>`;
};

const functions = {
  '@si': (value) => si(Number(value)),
  '@bytes': bytes,
  '@percent': percent,
  '@plain': plain,
  '@text': (value) => value,
  '@cell': (at) => (100 * at.value[at.encode.value[0]]).toFixed(1),
  // Not beyond 100 per cent; a multiple of the axis's step otherwise.
  '@most': (extent) => (extent.max > 50 ? 100 : null),
  // A bar of a timeline: from dimension 0 to dimension 2 in row 1, as high as dimension 4 says if there is one.
  '@bar': (of, api) => {
    const [left, middle] = api.coord([api.value(0), api.value(1)]);
    const right = api.coord([api.value(2), api.value(1)])[0];
    const full = api.size([0, 1])[1] * 0.6;
    const level = api.value(4);
    const height = Number.isNaN(level) ? full : Math.max(full * level, 1);
    const area = of.coordSys;
    const shape = echarts.graphic.clipRectByRect(
      { x: left, y: middle + full / 2 - height, width: Math.max(right - left, 1), height },
      { x: area.x, y: area.y, width: area.width, height: area.height });
    return shape && { type: 'rect', shape, style: { fill: api.visual('color'), stroke: 'rgba(255,255,255,0.7)', lineWidth: shape.width > 6 && Number.isNaN(level) ? 0.6 : 0 } };
  },
};

// Colours that the colour-blind can tell (after Okabe and Ito), next ones of unlike brightness.
const looks = {
  light: { ink: '#1a1a1a', faint: '#6b6b6b', line: '#d9d9d9', calm: '#cfcfcf', paper: '#ffffff',
    colours: ['#0072b2', '#e69f00', '#00694d', '#cc79a7', '#56b4e9', '#a03c00', '#777777', '#5c3a99'] },
  dark: { ink: '#ececec', faint: '#a8a8a8', line: '#3c3c3c', calm: '#4a4a4a', paper: '#17181a',
    colours: ['#56b4e9', '#f0b429', '#2fbf93', '#e29cc4', '#3f86c6', '#ef7a3c', '#a0a0a0', '#a98be0'] },
};

// A name that leaves room for others.
const brief = (name) => (name.length > 36 ? name.slice(0, 35) + '…' : name);

// Rows that the legend takes, about; ECharts does not make room for it.
const legendRows = (names, width) => {
  let [rows, left] = [1, width];
  for (const name of names) {
    const wide = 45 + 6.6 * brief(name).length;
    if (wide > left && left < width) [rows, left] = [rows + 1, width];
    left -= wide;
  }
  return rows;
};

// The option of `figure` as ECharts wants it, for a width and a look; `title` if it stands alone.
function complete(figure, width, look, title) {
  const { ink, faint, line, calm, paper, colours } = looks[look];
  const known = { '@ink': ink, '@calm': calm, ...functions };
  // Data and names come from files; they are no names of functions.
  const revive = (value, key) => {
    if (key === 'data' || key === 'name' || value === null) return value;
    if (typeof value === 'string') return Object.hasOwn(known, value) ? known[value] : value;
    if (Array.isArray(value)) return value.map((v) => revive(v));
    if (typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, revive(v, k)]));
  };
  const option = revive(figure.option);
  const font = { color: ink, fontFamily: 'Liberation Sans, Arial, Helvetica, sans-serif', fontWeight: 'normal' };
  let top = 4;
  Object.assign(option, { backgroundColor: title ? paper : 'transparent', color: colours, textStyle: font, animation: false });
  if (title) {
    option.title = { text: title, left: 10, top: 10, textStyle: { ...font, fontSize: 17, width: width - 20, overflow: 'truncate' } };
    top = 42;
    delete option.tooltip;
    delete option.dataZoom;
  } else {
    const { series } = figure.option;
    Object.assign(option.tooltip, { confine: true, formatter: (at) => tip(at, series[at.seriesIndex]), backgroundColor: paper, borderColor: faint, textStyle: { ...font, fontSize: 13 } });
  }
  // At once: a file has no second moment to be drawn in.
  for (const series of option.series) series.progressive = 0;
  // What only shows, such as a roof, is a line in the legend too.
  const bare = 'path://M0,5L20,5L20,7L0,7Z';
  const names = [...new Set(option.series.map((s) => s.name))];
  const icons = names.map((name) => (option.series.find((s) => s.name === name).silent ? { name, icon: bare } : { name }));
  if (names.length > 1) {
    const rows = Math.min(legendRows(names, width - 20), 6);
    option.legend = { ...option.legend, type: rows < 6 ? 'plain' : 'scroll', data: icons, top, left: 10, right: 10, itemGap: 10, formatter: brief, textStyle: font,
      inactiveColor: faint + '99', pageTextStyle: font };
    top += (rows < 6 ? rows : 1) * 24;
  }
  const narrow = width < 600;
  const below = option.dataZoom ? 44 : option.visualMap ? 62 : 0;
  option.grid = { left: 14, right: 14, top: top + 34, bottom: 30 + below,
    outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' };
  for (const [name, axis] of [['x', option.xAxis], ['y', option.yAxis]]) {
    const end = name === 'y' && { nameLocation: axis.nameLocation || 'end', nameGap: 12,
      nameTextStyle: { ...font, color: faint, align: 'left' } };
    const middle = { nameLocation: 'middle', nameGap: 28, nameTextStyle: { ...font, color: faint } };
    Object.assign(axis, name === 'x' ? middle : end);
    axis.axisLine = { show: true, lineStyle: { color: faint } };
    axis.splitLine = { ...{ show: true, lineStyle: { color: line } }, ...axis.splitLine };
    Object.assign(axis.axisLabel, { color: ink });
    if (axis.axisLabel.overflow) axis.axisLabel.width = narrow ? 90 : 260;
  }
  if (option.visualMap) {
    Object.assign(option.visualMap, { left: 'center', bottom: 4, itemWidth: 14, itemHeight: Math.min(220, width / 2), textStyle: font });
  }
  for (const zoom of option.dataZoom || []) Object.assign(zoom, { textStyle: font, left: 60, right: 60 });
  return option;
}
