import { expect, test } from '../fixtures/test';
import { NETWORK_LOST } from '../fixtures/errors';

test('a connection that drops reconnects by itself while the others tick', async ({ openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected', { timeout: 15_000 });
  const before = await monitor.status();

  const states = await monitor.recordStates(2);
  await monitor.server.control({ fault: 'drop', connection: 2 });
  await expect.poll(states, { message: 'seen on the page', timeout: 2_000 }).toContain('reconnecting');
  for (const id of [1, 3]) await monitor.expectTicking(id);
  for (const id of [1, 3]) await expect(monitor.state(id)).toHaveText('connected');

  await expect(monitor.state(2)).toHaveText('connected', { timeout: 30_000 });
  await monitor.expectTicking(2);
  const after = await monitor.status();
  const reconnects = (status: typeof after) => status.connections.map(({ metrics }) => metrics.reconnects_total);
  const [one, two, three] = reconnects(before);
  expect(reconnects(after)).toEqual([one, (two ?? 0) + 1, three]);
});

test('a refused key is said in the provider’s words while the others tick', async ({ openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected', { timeout: 15_000 });

  await monitor.server.control({ fault: 'refuse_key', connection: 3 });
  await monitor.server.control({ fault: 'drop', connection: 3 });
  await expect(monitor.state(3)).toHaveText('failed', { timeout: 15_000 });
  await expect(monitor.reason(3)).toContainText(/auth/i);
  await expect(monitor.summary).toContainText('2 of 3');
  await expect(monitor.summary, 'the gap is told at once').toContainText(/open gaps\s*1/, { timeout: 20_000 });
  await expect(monitor.page.getByTestId('reliability-3')).toContainText('lasting, key refused');
  for (const id of [1, 2]) await monitor.expectTicking(id);
  for (const id of [1, 2]) await expect(monitor.state(id)).toHaveText('connected');
});

test('a connection that is open and silent shows how old its last tick is', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);

  await monitor.server.control({ fault: 'stall', connection: 1 });
  await expect(page.getByTestId('last-1')).toHaveText(/[4-9] s ago/, { timeout: 15_000 });
  await expect(page.getByTestId('last-2')).toHaveText(/now|[12] s ago/);
  await monitor.expectTicking(2);
  await monitor.server.control({ fault: 'clear', connection: 1 });
  await monitor.expectTicking(1);
  await expect(page.getByTestId('last-1')).toHaveText(/now|[12] s ago/);
});

test('garbage from the provider is counted and stops nothing', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  await expect(monitor.state(2)).toHaveText('connected', { timeout: 15_000 });

  await monitor.server.control({ fault: 'garbage', connection: 2 });
  await expect(page.getByTestId('errors-2')).toHaveText(/[1-9]/);
  await expect(page.getByTestId('errors-1')).toHaveText('0');
  await monitor.expectTicking(2);
  await expect(monitor.state(2)).toHaveText('connected');
});

test('a flood is drawn in part, says so, and stops nothing', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await monitor.server.control({ fault: 'flood', connection: 3 });
  await expect(page.getByTestId('conflated-3')).toHaveText(/^1 of [\d,]+ drawn$/);
  await monitor.expectTicking(1);
  await monitor.server.control({ fault: 'clear' });
  await expect(page.getByTestId('conflated-3')).toBeHidden({ timeout: 20_000 });
  await expect(page.getByTestId('conflated-1'), 'nothing was conflated there').toBeHidden();
});

test('when the server is gone the page says so, and comes back without a reload', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await page.evaluate(() => Object.assign(window, { survivor: 'still here' }));

  await complaints.during(NETWORK_LOST, async () => {
    await monitor.server.kill();
    await expect(monitor.link).toHaveAttribute('data-state', 'lost', { timeout: 7_000 });
    await expect(monitor.banner).toContainText('link to the monitor is lost');
    await expect(monitor.banner).toContainText(/as of \d\d:\d\d:\d\d/);
    const stale = await monitor.prices(1);
    expect(Object.keys(stale).length, 'the last numbers stay').toBeGreaterThan(5);
    expect(await monitor.watchPrices(500), 'and stand still').toEqual([]);

    await monitor.server.startAgain();
    await monitor.expectLive(20_000);
  });
  await expect(monitor.banner).toBeHidden();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  expect(await page.evaluate(() => Reflect.get(window, 'survivor')), 'no reload').toBe('still here');
  expect((await monitor.status()).summary.total, 'still signed in').toBe(3);
});

test('a server that ends in good order is missed and found again all the same', async ({ complaints, openMonitor }) => {
  const monitor = await openMonitor();
  await complaints.during(NETWORK_LOST, async () => {
    await monitor.server.stop();
    await expect(monitor.link).toHaveAttribute('data-state', 'lost', { timeout: 7_000 });
    await monitor.server.startAgain();
    await monitor.expectLive(20_000);
  });
  await monitor.expectTicking(1, 15_000);
});
