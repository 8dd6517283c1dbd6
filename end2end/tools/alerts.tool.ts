// Pictures of the dashboard and of the alerts' page with 0, 1, 5 and 200 open alerts, into SCREENSHOTS_DIR: four widths, light and
// dark. The alerts are written into the database of a server that is stopped, with rules by which nothing is resolved.

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from '@playwright/test';
import { MonitorPage } from '../fixtures/monitor_page';
import { MonitorServer } from '../fixtures/server';

const FOLDER = resolve(process.env.SCREENSHOTS_DIR ?? 'test-results/screenshots');
const SIZES = [
  { width: 1920, height: 1080 },
  { width: 1366, height: 768 },
  { width: 1024, height: 768 },
  { width: 390, height: 844 },
];
const NAMES = ['primary', 'secondary', 'tertiary'];
const KINDS = [
  ['not_connected', 'critical', 'not connected', 'Lost without a close frame; attempt 4 in 12 s'],
  ['rate', 'warning', 'few ticks', '11.2 ticks/s, 14 % of the usual 80.1'],
  ['mute', 'critical', 'no data', 'No tick for 12 s; usually one within 3 s'],
  ['latency', 'warning', 'late data', 'One in a hundred trades and quotes is over 1840 ms old when it arrives'],
  ['errors', 'warning', 'many errors', '24 errors in the last minute; the last one: a frame that is not JSON'],
] as const;

/** The text of a statement that opens alerts and keeps them open. */
function opened(count: number): string {
  const now = Date.now();
  const quoted = (value: unknown) => `'${(typeof value === 'string' ? value : JSON.stringify(value)).replaceAll("'", "''")}'`;
  const at = (ago: number) => new Date(now - ago * 1000).toISOString();
  const rules = KINDS.map(([rule]) => `INSERT INTO alert_rules VALUES (${quoted(rule)}, 0, 1, 60, 86400, NULL) ON CONFLICT DO NOTHING;`);
  const alerts = Array.from({ length: count }, (_, place) => {
    const [rule, severity, what, text] = KINDS[place % KINDS.length] ?? KINDS[0];
    const id = 1 + (place % 3);
    const name = NAMES[id - 1] ?? '';
    const ago = 120 + place * 47;
    const key = `${rule}-${id}-${now - ago * 1000}`;
    const alert = {
      id: key,
      fingerprint: `${rule}:${id}`,
      rule,
      severity,
      connections: [{ id, name }],
      // One that is about a server of its own is nobody else's.
      server: `picture-${place}`,
      title: `${name}: ${what}`,
      text,
      started_at: at(ago),
      fired_at: at(ago - 15),
      ended_at: null,
      value: null,
      threshold: null,
      acknowledged: place % 5 === 3 ? { at: at(60), by: 'ann@example.com', note: 'the line is being moved' } : null,
      flapping: place % 7 === 2,
      told: [],
      escalations: 0,
      transitions: 1,
    };
    const step = { id: `${key}-1`, kind: 'firing', at: alert.fired_at, alert, to: [] };
    return `INSERT INTO alerts VALUES (${quoted(key)}, ${quoted(alert.fingerprint)}, ${quoted(rule)}, ${now - ago * 1000}, NULL, ${quoted(alert)});
      INSERT INTO alert_transitions VALUES (${quoted(step.id)}, ${quoted(key)}, 1, 'firing', ${now - (ago - 15) * 1000}, ${quoted(step)});`;
  });
  return ['DELETE FROM alerts; DELETE FROM alert_transitions;', ...rules, ...alerts].join('\n');
}

test('pictures with alerts', async ({ browser }) => {
  mkdirSync(FOLDER, { recursive: true });
  const server = await MonitorServer.start();
  try {
    for (const count of [0, 1, 5, 200]) {
      await server.stop();
      execFileSync('sqlite3', ['-bail', join(server.folder, 'monitor.db')], { input: opened(count) });
      await server.startAgain();
      const first = await browser.newContext();
      await new MonitorPage(await first.newPage(), server).signIn();
      const storageState = await first.storageState();
      await first.close();
      for (const viewport of SIZES) {
        for (const colorScheme of ['light', 'dark'] as const) {
          const context = await browser.newContext({ viewport, colorScheme, storageState, reducedMotion: 'reduce' });
          const page = await context.newPage();
          const monitor = new MonitorPage(page, server);
          const name = `${count}-${viewport.width}-${colorScheme}.png`;
          await page.goto(`${server.url}/admin/websockets`);
          await monitor.waitUntilHydrated();
          for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected', { timeout: 20_000 });
          await expect(page.getByTestId('open-alert')).toHaveCount(Math.min(count, 50));
          await page.screenshot({ path: join(FOLDER, `dashboard-${name}`) });
          await page.goto(`${server.url}/admin/alerts`);
          await page.screenshot({ path: join(FOLDER, `alerts-${name}`), fullPage: count < 200 || viewport.width === 1920 });
          if (count === 5) {
            await page.getByTestId('alert').first().getByRole('link').first().click();
            await page.screenshot({ path: join(FOLDER, `story-${name}`) });
          }
          await context.close();
        }
      }
    }
  } finally {
    await server.remove();
  }
});
