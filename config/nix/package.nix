# The package: nothing but Rust, and a C compiler for two crates.
{
  buildPackages,
  installShellFiles,
  lib,
  rustPlatform,
  stdenv,
}:

let
  root = ../..;
in
rustPlatform.buildRustPackage {
  pname = "journal-ship";
  inherit ((lib.importTOML (root + "/Cargo.toml")).package) version;

  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      (root + "/Cargo.toml")
      (root + "/Cargo.lock")
      (root + "/Makefile")
      (root + "/README.md")
      (root + "/CHANGELOG.md")
      (root + "/LICENSE-APACHE")
      (root + "/LICENSE-MIT")
      (root + "/benches") # Cargo.toml names them
      (root + "/config")
      (root + "/docs")
      (root + "/proto")
      (root + "/src")
      (root + "/crates")
    ];
  };
  cargoLock.lockFile = root + "/Cargo.lock";

  # They need root, a journald of their own and network namespaces: ./test, and the VM test of the flake.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];

  postInstall = ''
    install -D -m 444 -t $out/share/journal-ship/rules config/rules/*.yaml
    install -D -m 444 -t $out/share/doc/journal-ship README.md CHANGELOG.md LICENSE-* docs/*.md
  ''
  + lib.optionalString (stdenv.hostPlatform.emulatorAvailable buildPackages) (
    let
      run = "${stdenv.hostPlatform.emulator buildPackages} $out/bin/journal-ship";
    in
    ''
      ${run} man > journal-ship.1
      installManPage journal-ship.1
      installShellCompletion --cmd journal-ship \
        --bash <(${run} completions bash) \
        --zsh <(${run} completions zsh) \
        --fish <(${run} completions fish)
    ''
  );

  meta = {
    description = "Ships the systemd journal to Grafana Loki, and alerts on it";
    license = with lib.licenses; [
      mit
      asl20
    ];
    mainProgram = "journal-ship";
    platforms = lib.platforms.linux;
  };
}
