// The half of the vectors whose libraries are in npm's registry; make.py says how to run it.

import { randomBytes } from "node:crypto";
import { hash as aspnetHash } from "aspnetcore-identity-password-hasher";
import { hashPassword } from "better-auth/crypto";
import { FirebaseScrypt } from "firebase-scrypt";

const passwords = { ascii: "correct horse", wide: "crème ﬁne №1 кафе́ 🦊" };
const line = (...fields) => console.log(fields.join("\t"));

for (const [key, text] of Object.entries(passwords)) {
  line("better-auth", key, await hashPassword(text));

  line("aspnetcore-identity-password-hasher", key, await aspnetHash(text));

  // The digest in the text form of Supabase's GoTrue.
  const [saltSeparator, signerKey, salt] = [1, 64, 16].map((size) => randomBytes(size).toString("base64"));
  const firebase = new FirebaseScrypt({ memCost: 11, rounds: 8, saltSeparator, signerKey });
  const digest = await firebase.hash(text, salt);
  line("firebase-scrypt", key, `$fbscrypt$v=1,n=11,r=8,p=1,ss=${saltSeparator},sk=${signerKey}$${salt}$${digest}`);
}
