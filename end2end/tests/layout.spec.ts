import { expect, test } from '../fixtures/test';
import type { Settings } from '../fixtures/server';

const SYMBOLS = 'AAPL ACN ADBE ADI AMAT AMD ANET APH AVGO CDNS CRM CRWD CSCO DELL FTNT GLW'.split(' ');

function connections(count: number): Settings {
  const settings: Settings = { USE_MULTI_CONNECTION: 'true', WEBSOCKET_CONNECTIONS_MAX: String(count) };
  for (let id = 1; id <= count; id += 1) {
    settings[`WEBSOCKET_CONNECTION_${id}_ENABLED`] = 'true';
    settings[`WEBSOCKET_CONNECTION_${id}_NAME`] = `connection number ${id} with a name that is long`;
    settings[`WEBSOCKET_CONNECTION_${id}_SYMBOLS`] = SYMBOLS[id - 1] ?? '';
  }
  return settings;
}

for (const count of [1, 2, 16]) {
  test(`${count} connections fit every screen`, async ({ page, openMonitor }) => {
    const monitor = await openMonitor(connections(count));
    await monitor.expectTicking(count, 20_000);
    for (const width of [1920, 1024, 390]) {
      await page.setViewportSize({ width, height: 900 });
      for (let id = 1; id <= count; id += 1) {
        const box = await monitor.column(id).boundingBox();
        expect(box, `column ${id} at ${width}`).toBeTruthy();
        expect(box?.width ?? 0, `column ${id} at ${width} is readable`).toBeGreaterThan(280);
        const table = await monitor.table(id).boundingBox();
        expect(table?.height ?? 0, `the table of ${id} at ${width} shows rows`).toBeGreaterThan(4 * 26);
      }
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(overflow, `nothing to scroll sideways at ${width}`).toBe(0);
    }
  });
}
