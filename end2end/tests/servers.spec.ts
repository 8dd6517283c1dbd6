// Two servers on one Redis and one PostgreSQL, behind a real proxy.

import { NETWORK_LOST, answered } from '../fixtures/errors';
import { Front } from '../fixtures/front';
import { MonitorPage } from '../fixtures/monitor_page';
import { PostgresServer } from '../fixtures/postgres';
import { freePort } from '../fixtures/process';
import type { MonitorServer } from '../fixtures/server';
import { expect, test } from '../fixtures/test';

test('a page whose server is killed goes on from another one, paused, filtered and on its tape as it was', async ({ page, complaints, startRedis, startServer }) => {
  const [redis, postgres, port] = [await startRedis(), await PostgresServer.start(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const start = (name: string) =>
    startServer({ SERVER_NAME: name, REDIS_URL: redis.url, DATABASE_URL: postgres.url, PUBLIC_URL: url, TRUSTED_PROXIES: '127.0.0.1' });
  const first = await start('a:1');
  // Servers that start together over an empty Redis wait for each other, and either may be first.
  const role = async () => ((await (await fetch(`${first.url}/readyz`)).json()) as { role?: string }).role;
  await expect.poll(role).toBe('collector');
  const servers: Record<string, MonitorServer> = { 'a:1': first, 'b:2': await start('b:2') };
  const front = await Front.start(port, [first.port, servers['b:2']!.port]);
  try {
    const monitor = new MonitorPage(page, Object.create(first, { url: { value: url } }) as MonitorServer);
    await monitor.open();
    await monitor.expectTicking(1, 15_000);
    const neighbours = page.getByTestId('servers');
    const fact = async (term: string) =>
      (await neighbours.locator('div', { has: page.locator('dt', { hasText: term }) }).locator('dd').textContent()) ?? '';
    await expect.poll(() => fact('Collector')).toMatch(/^a:1 since \d\d:\d\d:\d\d UTC, epoch \d+$/);
    await expect.poll(() => fact('Standing by')).toBe('b:2');
    const epoch = Number((await fact('Collector')).split(' ').at(-1));
    // Whichever the page is from: that one is lost.
    const lost = (await fact('Server')).split(',')[0] ?? '';
    const other = lost === 'a:1' ? 'b:2' : 'a:1';

    const filter = monitor.filter(2);
    await filter.fill('n');
    await page.getByTestId('tape-view-1').click();
    const end = async () => (await monitor.tapeLines(1)).findLast(({ price }) => price !== '');
    await expect.poll(end).toBeDefined();
    await monitor.pause.click();
    await expect(page).toHaveURL(/\?paused=1&view1=tape&q2=n$/);
    const [address, frozen] = [page.url(), await end()];

    complaints.expect(NETWORK_LOST);
    complaints.expect(answered(503));
    await servers[lost]!.kill();
    await expect.poll(() => fact('Server'), { timeout: 10_000 }).toContain(other);
    await monitor.expectLive();
    expect(page.url(), 'nobody was asked to sign in, and nothing of the view is lost').toBe(address);
    await expect(monitor.pause).toHaveAttribute('data-paused', 'true');
    await expect(filter).toHaveValue('n');
    expect(await end(), 'paused it stands still').toEqual(frozen);

    await monitor.pause.click();
    await expect.poll(end, { message: 'the tape goes on', timeout: 10_000 }).not.toEqual(frozen);
    await expect.poll(async () => (await monitor.symbols(2)).every((symbol) => symbol.includes('N'))).toBe(true);
    await expect.poll(() => fact('Collector')).toMatch(new RegExp(`^${other} since `));
    await expect.poll(() => fact('Standing by')).toBe('none');
    if (lost === 'a:1') {
      expect(Number((await fact('Collector')).split(' ').at(-1)), 'a later epoch').toBeGreaterThan(epoch);
      await page.goto(`${url}/admin/metrics`);
      await expect(page.getByTestId('event').filter({ hasText: 'a:1 collected no more, and b:2 took over' })).toBeVisible();
    }
  } finally {
    await front.remove();
    // The servers end before their database does, or they wait for it.
    await Promise.all(Object.values(servers).map((server) => server.stop()));
    await postgres.remove();
  }
});
