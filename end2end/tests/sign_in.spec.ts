import { expect, test } from '../fixtures/test';
import { answered } from '../fixtures/errors';
import { MonitorPage } from '../fixtures/monitor_page';
import { ADMIN, type Role } from '../fixtures/server';

const PASSWORD = 'another long password';

test('a wrong password is said, the right one leads to the dashboard', async ({ page, startServer }) => {
  const monitor = new MonitorPage(page, await startServer());

  await page.goto(monitor.server.url);
  await expect(page, 'nobody signed in').toHaveURL(/\/login$/);
  await monitor.submitLogin(ADMIN.email, 'not the password at all');
  await expect(page.getByRole('alert')).toContainText('wrong');
  await expect(page).toHaveURL(/\/login/);
  await expect(page.locator('input[name=email]'), 'typed once').toHaveValue(ADMIN.email);
  await expect(page.locator('input[name=password]'), 'what is left to type').toBeFocused();
  await expect(page.locator('input[name=password]')).toHaveValue('');

  await monitor.signIn();
  await monitor.waitUntilHydrated();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('TickStock');
  for (const id of [1, 2, 3]) await expect(monitor.column(id)).toBeVisible();

  await page.getByTestId('sign-out').click();
  await expect(page).toHaveURL(/\/login$/);
  await page.goto(`${monitor.server.url}/admin/websockets`);
  await expect(page, 'the session is over').toHaveURL(/\/login$/);
});

test('whoever is not signed in gets the sign-in page, and 401 from API and socket', async ({ request, startServer }) => {
  const server = await startServer();

  const page = await request.get(`${server.url}/admin/websockets`, { maxRedirects: 0 });
  expect(page.status()).toBe(303);
  expect(page.headers().location).toMatch(/^\/login/);
  const api = await request.get(`${server.url}/api/admin/websocket-status`);
  expect(api.status()).toBe(401);
  expect(await api.json()).toMatchObject({ error: { code: 'unauthorized' } });
  expect(await server.handshakeStatus()).toBe(401);
});

for (const role of ['user', 'moderator'] satisfies Role[]) {
  test(`the role ${role} reaches neither page nor API nor socket`, async ({ page, context, complaints, startServer }) => {
    const server = await startServer();
    await server.addUser('someone@example.com', PASSWORD, role);

    const monitor = new MonitorPage(page, server);
    await complaints.during(answered(403), async () => {
      const answer = page.waitForResponse((response) => response.url().endsWith('/admin/websockets'));
      await monitor.submitLogin('someone@example.com', PASSWORD);
      expect((await answer).status()).toBe(403);
      await expect(page.getByText('Not allowed').first()).toBeVisible();
    });
    const api = await page.request.get(`${server.url}/api/admin/websocket-status`);
    expect(api.status()).toBe(403);
    expect(await api.json()).toMatchObject({ error: { code: 'forbidden' } });
    const cookie = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
    expect(await server.handshakeStatus({ cookie })).toBe(403);
  });
}

test('the role super reaches all of it, from this origin only', async ({ page, context, startServer }) => {
  const server = await startServer();
  await server.addUser('root@example.com', PASSWORD, 'super');

  const monitor = new MonitorPage(page, server);
  await monitor.submitLogin('root@example.com', PASSWORD);
  await monitor.waitUntilHydrated();
  await monitor.expectLive();
  const cookie = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  expect(await server.handshakeStatus({ cookie })).toBe(101);
  expect(await server.handshakeStatus({ cookie, origin: 'http://elsewhere.example' })).toBe(403);
  await expect(async () => {
    const kept = (await context.cookies())[0];
    expect(kept).toMatchObject({ httpOnly: true, sameSite: expect.stringMatching(/Strict|Lax/) });
  }).toPass();
});
