// Makes better-auth.json beside this folder with Better Auth itself, on its in-memory database:
//
//     npm ci && node make.mjs
import { writeFileSync } from "node:fs";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { admin } from "better-auth/plugins";

const PASSWORD = "correct horse battery staple";
const tables = { user: [], account: [], session: [], verification: [] };
const auth = betterAuth({
    baseURL: "http://localhost:3000",
    secret: "0123456789abcdef0123456789abcdef",
    database: memoryAdapter(tables),
    emailAndPassword: { enabled: true },
    plugins: [admin()],
    telemetry: { enabled: false },
});
for (const [email, name] of [["Ada@Example.org", "Ada Lovelace"], ["grace@example.org", "Grace Hopper"]]) {
    await auth.api.signUpEmail({ body: { email, name, password: PASSWORD } });
}
const [ada, grace] = tables.user;
ada.emailVerified = true;
ada.role = "admin";
grace.banned = true;
tables.account.push({
    id: "x", userId: ada.id, providerId: "github", accountId: "583231", accessToken: "still-good", password: null,
});
const rows = tables.user.map((user) => ({
    ...user,
    accounts: tables.account.filter((account) => account.userId === user.id),
}));
const folder = new URL("..", import.meta.url);
writeFileSync(new URL("better-auth.json", folder), JSON.stringify(rows, null, 1) + "\n");

const columns = ["id", "email", "emailVerified", "name", "createdAt", "updatedAt", "role", "banned", "banReason",
    "banExpires", "password"];
const cell = (value) => (value instanceof Date ? value.toISOString() : String(value ?? ""));
const lines = rows.map((row) => {
    const { password } = row.accounts.find((account) => account.providerId === "credential");
    return columns.map((name) => cell(name === "password" ? password : row[name])).join(",");
});
writeFileSync(new URL("better-auth.csv", folder), [columns.join(","), ...lines].join("\n") + "\n");
