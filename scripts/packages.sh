# Sourced by the other scripts: install_packages "name=what for"... installs the Debian or Ubuntu packages that are missing, and says
# which and why. Where all are there it prints nothing and needs neither apt nor root.
install_packages() {
  local missing=() entry name sudo=()
  if ! command -v dpkg-query >/dev/null; then
    echo "Not a Debian or Ubuntu system: nothing is installed here. Needed are: ${*%%=*}" >&2
    return 0
  fi
  for entry in "$@"; do
    name=${entry%%=*}
    if [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) != installed ]]; then
      missing+=("$name")
      echo "Installing $name: ${entry#*=}"
    fi
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if [[ $EUID -ne 0 ]]; then
    if ! command -v sudo >/dev/null; then
      echo "Neither root nor sudo. Ask an administrator to run: apt-get install ${missing[*]}" >&2
      return 1
    fi
    sudo=(sudo)
  fi
  local log
  log=$(mktemp)
  if ! { "${sudo[@]}" apt-get update -q &&
         "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
           apt-get install -q -y --no-install-recommends "${missing[@]}"; } </dev/null >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    echo "apt-get could not install: ${missing[*]}" >&2
    return 1
  fi
  rm -f "$log"
}
