// Draws one figure to SVG, without a document.
'use strict';

// ECharts asks for these and needs neither: nothing here waits.
globalThis.setTimeout = () => 0;
globalThis.clearTimeout = () => undefined;

function draw(figure, width, height, title) {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  chart.setOption(complete(JSON.parse(figure), width, 'light', title));
  return chart.renderToSVGString();
}
