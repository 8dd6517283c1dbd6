// Alerts in the browser: from a fault to the line on the dashboard, its sound and notification, the page of the alerts, and back.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { expectAccessible } from '../fixtures/axe';
import { expect, test } from '../fixtures/test';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

declare global {
  interface Window {
    heard: string[];
  }
}

test('a fault is shown, heard, acknowledged, told and resolved', async ({ page, context, openMonitor }) => {
  const told: string[] = [];
  const hook = createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString())).on('end', () => {
      // Whoever wrote that library says that the signature is good, or throws.
      const alert = new Webhook(SECRET).verify(body, request.headers as Record<string, string>) as { type: string };
      told.push(alert.type);
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((done) => hook.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`;
  // No loudspeaker and no desktop here: what would be played and shown is noted.
  await context.addInitScript(() => {
    window.heard = [];
    const noted = class {
      static permission = 'granted';
      static requestPermission = () => Promise.resolve('granted');
      constructor(title: string) {
        window.heard.push(`notification: ${title}`);
      }
    };
    Object.assign(window, { Notification: noted });
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (at) {
      window.heard.push('tone');
      start.call(this, at);
    };
  });
  const monitor = await openMonitor({ ALERT_WEBHOOK_URL: url, ALERT_WEBHOOK_SECRET: SECRET, ALERT_ALLOWED_NETS: '127.0.0.1' });
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  const rule = { rule: 'key_refused', for_seconds: 1, resolve_seconds: 1 };
  const changed = await page.request.patch(`${monitor.server.url}/api/admin/alert-rules`, { data: rule });
  expect(changed.status()).toBe(200);

  await page.getByTestId('help').click();
  await page.getByLabel('Sound and notification for new alerts').check();
  await page.getByTestId('help-close').click();
  await monitor.server.control({ fault: 'refuse_key', connection: 3 });
  await monitor.server.control({ fault: 'drop', connection: 3 });
  const line = page.getByTestId('open-alert');
  await expect(line).toContainText('key refused', { timeout: 15_000 });
  await expect.poll(() => page.evaluate(() => window.heard)).toEqual(['tone', 'tone', 'notification: tertiary: key refused']);
  await expectAccessible(page, 'an open alert');
  await line.getByRole('button', { name: /^Acknowledge / }).click();
  await expect(line).toContainText(/acknowledged by admin@example.com/);

  await line.getByRole('link').click();
  await expect(page).toHaveURL(/\/admin\/alerts\?alert=key_refused-3-\d+#alert$/);
  await expect(page.getByTestId('story')).toBeFocused();
  await expect(page.getByTestId('alert')).toContainText('admin@example.com');
  await page.getByText('webhook', { exact: true }).click();
  await expect(page.getByTestId('delivery').first()).toContainText('delivered');
  await page.getByTestId('test').click();
  await expect(page.getByTestId('done')).toHaveText('The test was taken.');
  await page.getByLabel('Reason').fill('the line is moved');
  await page.getByRole('button', { name: 'Silence', exact: true }).click();
  await expect(page.getByTestId('silence')).toContainText('every rule, all connections');
  await page.getByTestId('silence').getByRole('button', { name: 'End' }).click();
  await expect(page.getByTestId('done')).toHaveText('The silence has ended.');
  await expectAccessible(page, 'the page of the alerts');

  await monitor.server.control({ fault: 'clear' });
  await page.request.post(`${monitor.server.url}/api/admin/connections/3/retry`);
  await expect.poll(() => told.at(-1), { timeout: 20_000 }).toBe('alert.resolved');
  await page.reload();
  await expect(page.getByTestId('no-alerts')).toBeVisible();
  await expect(page.getByTestId('past-alert')).toContainText('key refused');
  expect(told).toEqual(['alert.firing', 'alert.acknowledged', 'alert.firing', 'alert.resolved']);
  // What was asked for once is remembered.
  await page.goto(`${monitor.server.url}/admin/websockets`);
  await monitor.expectLive(20_000);
  await page.getByTestId('help').click();
  await expect(page.getByLabel('Sound and notification for new alerts')).toBeChecked();
  hook.close();
});
