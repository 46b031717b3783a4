// Draws the figures of the page, anew when its width, its colours or a choice change.
'use strict';

const figures = JSON.parse(document.getElementById('figures').textContent);
const dark = matchMedia('(prefers-color-scheme: dark)');

function show(place) {
  const figure = figures[place.dataset.figure];
  const old = echarts.getInstanceByDom(place);
  const hidden = old && place.drawn === figure ? old.getOption().legend?.[0]?.selected : undefined;
  if (old) old.dispose();
  place.style.height = figure.height + 'px';
  place.drawn = figure;
  const option = complete(figure, place.clientWidth, dark.matches ? 'dark' : 'light');
  if (hidden && option.legend) option.legend.selected = hidden;
  echarts.init(place).setOption(option);
}

for (const place of document.querySelectorAll('.chart')) {
  const section = place.closest('section');
  section.querySelector('select')?.addEventListener('change', (event) => {
    place.dataset.figure = event.target.value;
    section.querySelector('.caption').textContent = figures[event.target.value].caption;
    show(place);
  });
  show(place);
}
const redraw = () => document.querySelectorAll('.chart').forEach(show);
dark.addEventListener('change', redraw);
let width = innerWidth;
addEventListener('resize', () => {
  // A phone's bars come and go with the height alone.
  if (innerWidth !== width) redraw();
  width = innerWidth;
});
