source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

auto eth0
iface eth0 inet dhcp
	hostname {{ container.name }}

iface eth0 inet6 manual
	accept_ra 2
