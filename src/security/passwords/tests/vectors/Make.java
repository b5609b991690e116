// The part of the vectors that a JDK makes; make.py says how to run it. Keycloak's provider of PBKDF2 calls the JDK's
// SecretKeyFactory, as this does, and keeps its salt and its bytes in a credential; the text is what Roster makes of one.

import java.security.SecureRandom;
import java.util.Base64;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.PBEKeySpec;

final class Make {
    private static final String[][] PASSWORDS = {
        {"ascii", "correct horse"},
        {"wide", "cr\u00e8me \ufb01ne \u21161 \u043a\u0430\u0444\u0435\u0301 \ud83e\udd8a"},
    };
    private static final String[] DIGESTS = {"SHA1 64", "SHA256 64", "SHA512 64", "SHA256 32"};
    private static final int ITERATIONS = 1000;

    public static void main(String[] arguments) throws Exception {
        Base64.Encoder base64 = Base64.getEncoder().withoutPadding();
        for (String[] password : PASSWORDS) {
            for (String parameters : DIGESTS) {
                String digest = parameters.split(" ")[0];
                int length = Integer.parseInt(parameters.split(" ")[1]);
                byte[] salt = new byte[16];
                new SecureRandom().nextBytes(salt);
                PBEKeySpec key = new PBEKeySpec(password[1].toCharArray(), salt, ITERATIONS, length * 8);
                byte[] hash = SecretKeyFactory.getInstance("PBKDF2WithHmac" + digest).generateSecret(key).getEncoded();
                System.out.printf("phc pbkdf2\t%s\t$pbkdf2-%s$i=%d,l=%d$%s$%s%n", password[0], digest.toLowerCase(),
                    ITERATIONS, length, base64.encodeToString(salt), base64.encodeToString(hash));
            }
        }
    }
}
