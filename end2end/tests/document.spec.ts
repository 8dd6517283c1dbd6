import { expect, test } from '../fixtures/test';
import { MonitorPage } from '../fixtures/monitor_page';
import { ADMIN } from '../fixtures/server';

test('every address in the head answers, and the policy holds', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  const response = await page.request.get(`${monitor.server.url}/admin/websockets`);
  expect(response.status()).toBe(200);
  const html = await response.text();
  expect(html.includes('</html>'), 'the answer is whole').toBe(true);

  const policy = response.headers()['content-security-policy'] ?? '';
  expect(policy).toContain('wasm-unsafe-eval');
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toContain('unsafe-inline');
  expect(policy).not.toContain("'unsafe-eval'");
  const nonce = /'nonce-([^']+)'/.exec(policy)?.[1] ?? '';
  expect(nonce).not.toBe('');
  expect(html.includes(`crossorigin="${nonce}"`), 'the nonce is no value of crossorigin').toBe(false);
  expect(/<[a-z][^>]*\sstyle="[^>]*>/.exec(html)?.[0], 'the policy would refuse inline styles').toBeUndefined();
  const again = (await page.request.get(`${monitor.server.url}/admin/websockets`)).headers();
  expect(again['content-security-policy'], 'a nonce serves once').not.toContain(nonce);

  const addresses = await page.evaluate(() =>
    [...document.head.querySelectorAll('link[href], script[src]')].map(
      (element) => element.getAttribute('href') ?? element.getAttribute('src') ?? '',
    ),
  );
  expect(addresses.length).toBeGreaterThan(2);
  for (const address of addresses) {
    const file = await page.request.get(new URL(address, monitor.server.url).href);
    expect(file.status(), address).toBe(200);
    expect((await file.body()).length, address).toBeGreaterThan(0);
  }
});

test('the style sheet is whole: columns side by side on a desktop, one under another on a phone', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  const sheet = await (await page.request.get(`${monitor.server.url}/pkg/tickstock.css`)).text();
  expect(sheet).not.toContain('@import');

  const corners = async () => {
    const boxes = await Promise.all([1, 2, 3].map((id) => monitor.column(id).boundingBox()));
    return boxes.map((box) => ({ x: Math.round(box?.x ?? NaN), y: Math.round(box?.y ?? NaN) }));
  };
  const onDesktop = await corners();
  expect(new Set(onDesktop.map(({ y }) => y)).size, 'the same height').toBe(1);
  expect(new Set(onDesktop.map(({ x }) => x)).size).toBe(3);

  await page.setViewportSize({ width: 390, height: 844 });
  const onPhone = await corners();
  expect(new Set(onPhone.map(({ x }) => x)).size, 'the same edge').toBe(1);
  expect(new Set(onPhone.map(({ y }) => y)).size).toBe(3);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(overflow, 'nothing to scroll sideways').toBe(0);
});

test('files are served compressed and with their types', async ({ openMonitor, page }) => {
  const monitor = await openMonitor();
  const types = { js: /javascript/, wasm: /application\/wasm/, css: /text\/css/ };
  for (const [ending, type] of Object.entries(types)) {
    const headers = { 'accept-encoding': 'br, gzip' };
    const response = await page.request.get(`${monitor.server.url}/pkg/tickstock.${ending}`, { headers });
    expect(response.status(), ending).toBe(200);
    expect(response.headers()['content-type'], ending).toMatch(type);
    expect(response.headers()['content-encoding'], ending).toMatch(/^(br|gzip)$/);
  }
});

test('no secret is in the page, in its files, in the status or in the log', async ({ page, openMonitor }) => {
  const secrets = { MASSIVE_API_KEY: 'k3y-that-nobody-may-see', METRICS_TOKEN: 't0ken-that-nobody-may-see' };
  const monitor = await openMonitor({ ...secrets, USE_MASSIVE_API: 'false' });
  const session = (await page.context().cookies()).find(({ name }) => name.startsWith('tickstock_session_'))?.value ?? '';
  expect(session).not.toBe('');
  const paths = ['/admin/websockets', '/admin/audit', '/admin/account', '/login', '/pkg/tickstock.js', '/pkg/tickstock.wasm', '/api/admin/websocket-status', '/healthz', '/readyz'];
  const texts = await Promise.all(
    paths.map(async (path) => (await (await page.request.get(monitor.server.url + path)).body()).toString('latin1')),
  );
  for (const text of [...texts, monitor.server.output]) {
    for (const secret of [...Object.values(secrets), ADMIN.password, session, '$argon2']) expect(text).not.toContain(secret);
  }
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('the page shows what the server knows, and signing in and out work', async ({ page, complaints, startServer }) => {
    const monitor = new MonitorPage(page, await startServer());
    // Where scripts are switched off the browser declines to preload them, and calls that a policy.
    complaints.expect(/request: GET \S+\/pkg\/tickstock\.js: csp$/);
    await monitor.submitLogin('admin@example.com', 'wrong, and long enough');
    await expect(page.getByRole('alert')).toContainText('wrong');
    await monitor.signIn();

    // Nothing changes by itself here: the page is asked for again until the connections are up and prices came.
    await expect(async () => {
      await page.reload();
      for (const id of [1, 2, 3]) {
        await expect(monitor.state(id)).toHaveText('connected', { timeout: 100 });
        await expect(monitor.rows(id).first().locator('[data-cell=price]')).toHaveText(/\d\.\d\d/, { timeout: 100 });
      }
    }).toPass({ timeout: 20_000 });
    for (const [id, name] of [[1, 'primary'], [2, 'secondary'], [3, 'tertiary']] as const) {
      await expect(monitor.column(id).getByRole('heading', { name })).toBeVisible();
      await expect(monitor.config(id)).toContainText(/\d+ tickers/);
      expect(await monitor.rows(id).count()).toBeGreaterThan(5);
    }
    await expect(page.getByRole('note'), 'it says that it stands still').toContainText('does not update by itself');

    await page.getByTestId('sign-out').click();
    await expect(page).toHaveURL(/\/login$/);
    await page.goto(`${monitor.server.url}/admin/websockets`);
    await expect(page).toHaveURL(/\/login$/);
  });
});
