# What agenix declares of secrets, as far as demo/fleet names it.
{ lib, ... }:

{
  options.age.secrets = lib.mkOption {
    type = lib.types.attrsOf (
      lib.types.submodule (
        { name, ... }:
        {
          options = {
            file = lib.mkOption { type = lib.types.path; };
            owner = lib.mkOption {
              type = lib.types.str;
              default = "0";
            };
            path = lib.mkOption {
              type = lib.types.str;
              default = "/run/agenix/${name}";
            };
          };
        }
      )
    );
    default = { };
  };
}
