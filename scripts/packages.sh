# Installing Debian packages, for the scripts beside. Sourced.

# install_packages NAME…: installs them, as root or through sudo.
install_packages() {
  echo "installing: $*" >&2
  local sudo=""
  if [ "$(id -u)" != 0 ]; then sudo=sudo; fi
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >&2
}
