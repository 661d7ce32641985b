//! How a client of Promtail proves who it is, and how it reaches its server.
//!
//! Our configuration holds no secret, only names of files. If Promtail's configuration holds a secret, the result names a
//! file for it, and a note asks the person to put the secret there. Until then the result is valid, but shipping waits for
//! the file, and says so.

use super::client::AROUND;
use super::*;

/// The folder of the files that secrets from the configuration have to be put into.
const FOLDER: &str = "/etc/journal-ship";

impl Conversion {
    /// Writes the credentials of a client called `name` whose URL may have had some, too. `around` as for
    /// [`Conversion::offer`].
    pub(super) fn access(&mut self, client: &Node, name: &str, user: Option<String>, around: &str) {
        let mut known = false;
        // A token in a file counts before a token in the configuration.
        for key in
            ["basic_auth", "bearer_token_file", "authorization", "bearer_token", "tls_config", "proxy_url"]
        {
            let Some(value) = get(client, key) else { continue };
            match key {
                "basic_auth" => known |= self.basic_auth(key, value, name, known),
                "bearer_token_file" => known |= self.token_file(key, value, known),
                "bearer_token" => known |= self.token(key, value, name, known),
                "authorization" => known |= self.authorization(value, name, known),
                "tls_config" => self.tls(value, around),
                "proxy_url" => {
                    let line = format!("proxy_url: {}", quoted(&variables(text(value).unwrap_or_default())));
                    self.offer(2, around, &line, ("clients", key, value));
                }
                _ => {}
            }
        }
        let Some(user) = user else { return };
        match known {
            true => self.tell(2, "clients.url: user and password are left out; there are other credentials"),
            false => {
                let file = self.file_for(name, "password");
                self.tell(2, &format!("clients.url: put the password that stood in it into {file}"));
                self.out.line(2, "basic_auth:");
                self.out.line(3, &format!("username: {}", quoted(&user)));
                self.out.line(3, &format!("password_file: {}", quoted(&file)));
            }
        }
    }

    fn file_for(&self, name: &str, what: &str) -> String {
        format!("{FOLDER}/{name}.{what}")
    }

    /// Whether credentials are written already. The first ones count.
    fn second(&mut self, key: &str, value: &Node, known: bool) -> bool {
        if known {
            self.leave(
                2,
                "clients",
                key,
                "there are other credentials, and one way to log in is enough",
                value,
            );
        }
        known
    }

    fn basic_auth(&mut self, key: &str, value: &Node, name: &str, known: bool) -> bool {
        if self.second(key, value, known) {
            return false;
        }
        let Some(user) = get_text(value, "username").map(variables) else {
            self.leave(2, "clients", key, "it has no username that could be read here", value);
            return false;
        };
        let given = get_text(value, "password_file").map(variables);
        let file = given.clone().unwrap_or_else(|| self.file_for(name, "password"));
        let lines = [format!("username: {}", quoted(&user)), format!("password_file: {}", quoted(&file))];
        if let Some(why) = refusal(&AROUND.replace("{}", &format!("basic_auth: {{{}}}", lines.join(", ")))) {
            self.leave(2, "clients", key, &why, value);
            return false;
        }
        self.out.line(2, "basic_auth:");
        lines.iter().for_each(|line| self.out.line(3, line));
        for (key, value) in written(value) {
            match key {
                "username" | "password_file" => {}
                "password" => {
                    let why = format!("a secret does not belong in the configuration: put it into {file}");
                    self.leave(3, "clients.basic_auth", key, &why, value);
                }
                _ => self.leave(3, "clients.basic_auth", key, "has no counterpart", value),
            }
        }
        true
    }

    fn token_file(&mut self, key: &str, value: &Node, known: bool) -> bool {
        if self.second(key, value, known) {
            return false;
        }
        let line = format!("bearer_token_file: {}", quoted(&variables(text(value).unwrap_or_default())));
        self.offer(2, AROUND, &line, ("clients", key, value))
    }

    fn token(&mut self, key: &str, value: &Node, name: &str, known: bool) -> bool {
        if self.second(key, value, known) {
            return false;
        }
        let file = self.file_for(name, "token");
        let why = format!("a secret does not belong in the configuration: put it into {file}");
        self.leave(2, "clients", key, &why, value);
        self.out.line(2, &format!("bearer_token_file: {}", quoted(&file)));
        true
    }

    fn authorization(&mut self, value: &Node, name: &str, known: bool) -> bool {
        if self.second("authorization", value, known) {
            return false;
        }
        let kind = get_text(value, "type").unwrap_or("Bearer");
        let (file, secret) = (get(value, "credentials_file"), get(value, "credentials"));
        if kind.eq_ignore_ascii_case("bearer") && (file.is_some() || secret.is_some()) {
            self.keep_text(2, "authorization", value);
        }
        match (kind.eq_ignore_ascii_case("bearer"), file, secret) {
            (true, Some(file), _) => self.token_file("credentials_file", file, false),
            (true, None, Some(secret)) => self.token("credentials", secret, name, false),
            _ => {
                self.leave(2, "clients", "authorization", "only type Bearer has a counterpart", value);
                false
            }
        }
    }

    fn tls(&mut self, value: &Node, around: &str) {
        let mut lines = Vec::new();
        for (key, value) in written(value) {
            let word = quoted(&variables(text(value).unwrap_or_default()));
            match key {
                "ca_file" | "cert_file" | "key_file" | "server_name" => lines.push((key, word, value)),
                "insecure_skip_verify" if text(value) == Some("false") => self.keep_text(2, key, value),
                "insecure_skip_verify" => {
                    let why = "certificates are always checked: give the authority as tls.ca_file";
                    self.leave(2, "clients.tls_config", key, why, value);
                }
                _ => self.leave(2, "clients.tls_config", key, "has no counterpart", value),
            }
        }
        if lines.is_empty() {
            return;
        }
        let together: Vec<String> = lines.iter().map(|(key, word, _)| format!("{key}: {word}")).collect();
        match refusal(&around.replace("{}", &format!("tls: {{{}}}", together.join(", ")))) {
            None => {
                self.out.line(2, "tls:");
                together.iter().for_each(|line| self.out.line(3, line));
            }
            Some(why) => self.leave(2, "clients", "tls_config", &why, value),
        }
    }
}
