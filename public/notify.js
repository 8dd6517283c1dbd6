// A sound and a browser notification for each new alert on the dashboard. Loaded once somebody has asked for them, as browsers
// allow both only after a click.

const KEPT = 'tickstock-notify';
const LOOK_MS = 1000;

/** Not there on an address without TLS. */
const notices = globalThis.Notification ?? { permission: 'denied' };
let sound;
let timer;
let known;

const note = (text) => {
  const place = document.getElementById('notify-note');
  if (place && place.textContent !== text) place.textContent = text;
};

/** Two short tones. */
function play() {
  for (const [after, hertz] of [[0, 880], [0.25, 660]]) {
    const tone = sound.createOscillator();
    const volume = sound.createGain();
    tone.frequency.value = hertz;
    volume.gain.value = 0.2;
    tone.connect(volume).connect(sound.destination);
    tone.start(sound.currentTime + after);
    tone.stop(sound.currentTime + after + 0.2);
  }
}

function look() {
  const lines = new Map([...document.querySelectorAll('.open-alerts .banner')].map((line) => [line.querySelector('a').hash, line]));
  // What nobody has to act on has the tone `info`.
  const fresh = [...lines].filter(([id, line]) => known && !known.has(id) && line.dataset.tone !== 'info');
  known = new Set(lines.keys());
  if (fresh.length) play();
  if (notices.permission === 'granted') {
    for (const [id, line] of fresh) new notices(line.querySelector('a').textContent, { body: line.querySelector('span').textContent, tag: id });
  }
  const blocked = sound.state === 'running' ? '' : 'The browser plays no sound before you click on this page. ';
  note(blocked + (notices.permission === 'denied' ? 'The browser blocks notifications of this site.' : ''));
}

/** Starts or stops, as the box says. */
export async function set(box) {
  clearInterval(timer);
  known = undefined;
  if (!box.checked) {
    localStorage.removeItem(KEPT);
    return note('');
  }
  localStorage.setItem(KEPT, '1');
  sound ??= new AudioContext();
  sound.resume();
  addEventListener('click', () => sound.resume());
  timer = setInterval(look, LOOK_MS);
  if (notices.permission === 'default') await notices.requestPermission();
  look();
}

/** As it was when the page was open last. */
export function restore() {
  const box = document.getElementById('notify');
  if (!box) return;
  box.checked = true;
  return set(box);
}
