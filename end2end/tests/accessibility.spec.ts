// Every state that the page can be in, scanned in both themes.

import { expectAccessible } from '../fixtures/axe';
import { NETWORK_LOST, answered } from '../fixtures/errors';
import { MonitorPage } from '../fixtures/monitor_page';
import { ADMIN } from '../fixtures/server';
import { expect, test } from '../fixtures/test';

test('all live, paused, folded, filtered, on a tape scrolled up, with the help and the link’s figures open', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await expectAccessible(page, 'live');

  await page.getByTestId('fold-configuration-1').click();
  await page.getByTestId('fold-metrics-2').click();
  await page.getByTestId('tape-view-3').click();
  await expect.poll(() => monitor.tape(3).evaluate((tape) => tape.scrollTop), { timeout: 20_000 }).toBeGreaterThan(300);
  await monitor.tape(3).hover();
  await page.mouse.wheel(0, -150);
  await expect(page.getByTestId('unseen-3')).toHaveText(/ new$/);
  await monitor.filter(2).fill('nothing has this in its name');
  await monitor.table(1).focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('p');
  await monitor.link.locator('summary').click();
  await expect(page.getByTestId('extra-delay')).toHaveText(/^lag (< 10|\d+) ms$/);
  await expectAccessible(page, 'the link’s figures');
  await monitor.pause.click();
  await expect(page.getByTestId('unseen-3')).toBeVisible();
  await expectAccessible(page, 'arranged and paused');

  await page.getByTestId('help').click();
  await expect(page.getByTestId('help-dialog')).toBeVisible();
  await expectAccessible(page, 'help');
});

test('connections that are mute and failed', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await monitor.waitUntilRhythmIsKnown(2);
  await monitor.server.control({ fault: 'refuse_key', connection: 3 });
  await monitor.server.control({ fault: 'drop', connection: 3 });
  await monitor.server.control({ fault: 'garbage', connection: 1 });
  await monitor.server.control({ fault: 'stall', connection: 2 });
  await expect(monitor.state(3)).toHaveText('failed', { timeout: 15_000 });
  await expect(monitor.state(2)).toHaveText('mute', { timeout: 40_000 });
  await expect(page, 'the tab says so too').toHaveTitle(/1 down, 1 mute/);
  await expectAccessible(page, 'mute and failed');
});

test('the server is gone, then the session', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await complaints.during(NETWORK_LOST, async () => {
    await monitor.server.kill();
    await expect(monitor.link).toHaveAttribute('data-state', 'lost', { timeout: 7_000 });
    await expectAccessible(page, 'server gone');
    await monitor.server.startAgain();
    await monitor.expectLive(20_000);
  });

  complaints.expect(answered(401));
  complaints.expect(NETWORK_LOST);
  const elsewhere = await page.context().newPage();
  await elsewhere.goto(`${monitor.server.url}/admin/websockets`);
  await elsewhere.getByTestId('sign-out').click();
  await expect(elsewhere).toHaveURL(/\/login/);
  await expect(monitor.link).toHaveAttribute('data-state', 'ended', { timeout: 30_000 });
  await expect(monitor.banner).toContainText('Signed out');
  await expectAccessible(page, 'signed out');
});

test('disabled connections, warnings, and what a refresh of the configuration did', async ({ page, openMonitor }) => {
  const monitor = await openMonitor({
    USE_MULTI_CONNECTION: 'true',
    WEBSOCKET_CONNECTION_1_ENABLED: 'true',
    WEBSOCKET_CONNECTION_1_SYMBOLS: 'AAPL,MSFT',
    WEBSOCKET_CONNECTION_2_ENABLED: 'perhaps',
    WEBSOCKET_CONNECTION_3_ENABLED: 'true',
    WEBSOCKET_CONNECTION_3_UNIVERSE_KEY: 'no_such:universe',
  });
  await monitor.expectTicking(1, 15_000);
  await page.getByTestId('refresh').click();
  const result = page.getByTestId('refresh-result');
  await expect(result).toContainText('Configuration');
  await expect(result).not.toContainText('Reloading');
  await expectAccessible(page, 'disabled, warnings, refreshed');
  await result.getByTestId('refresh-close').click();
  await expect(result).toHaveText('');
});

test('states that are estimated from tick flow, and a row that never ticked', async ({ page, startRedis, openMonitor }) => {
  const redis = await startRedis();
  const monitor = await openMonitor({
    MARKET_FEED: 'redis',
    REDIS_URL: redis.url,
    WEBSOCKET_CONNECTION_1_ENABLED: 'true',
    WEBSOCKET_CONNECTION_1_SYMBOLS: 'AAPL,MSFT',
  });
  const client = redis.connect();
  await redis.waitForSubscriber(client);
  await client.publish({ symbol: 'AAPL', price: 178.23 });
  await expect(monitor.price('AAPL')).toHaveText('178.23');
  await expect(monitor.banner).toContainText('Status is inferred');
  await expect(monitor.column(1).getByText('inferred')).toBeVisible();
  await expect(page.getByTestId('market')).toContainText(/market|hours/);
  await expect(monitor.row('MSFT'), 'what never ticked says so').toContainText('never');
  await expectAccessible(page, 'inferred');
  client.close();
});

test('the account and the audit log, with what they say', async ({ page, openMonitor }) => {
  const { server } = await openMonitor();
  await page.goto(`${server.url}/admin/account?error=current`);
  await expect(page.getByTestId('session')).toHaveCount(1);
  await expectAccessible(page, 'account, refused');
  await page.goto(`${server.url}/admin/account?done=sessions`);
  await expectAccessible(page, 'account, done');
  await page.goto(`${server.url}/admin/audit`);
  await expect(page.getByTestId('record').first()).toBeVisible();
  await expectAccessible(page, 'audit log');
  await page.goto(`${server.url}/admin/audit?from=soon`);
  await expect(page.getByTestId('problem')).toBeVisible();
  await expectAccessible(page, 'audit log, a filter that cannot be read');
});

test('signing in, and the pages that say no', async ({ page, complaints, startServer }) => {
  const server = await startServer();
  const monitor = new MonitorPage(page, server);
  await monitor.submitLogin(ADMIN.email, 'not the password at all');
  await expect(page.getByRole('alert')).toBeVisible();
  await expectAccessible(page, 'sign-in refused');

  await complaints.during(answered(404), async () => {
    await page.goto(`${server.url}/no/such/page`);
    await expect(page.getByText('Page not found')).toBeVisible();
    await expectAccessible(page, '404');
  });
  await server.addUser('someone@example.com', 'another long password', 'moderator');
  await complaints.during(answered(403), async () => {
    await monitor.submitLogin('someone@example.com', 'another long password');
    await expect(page.getByText('Not allowed').first()).toBeVisible();
    await expectAccessible(page, '403');
  });
});
