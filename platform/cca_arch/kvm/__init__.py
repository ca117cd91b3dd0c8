"""KVM's interface to user space, as Linux publishes it, and what Realms add to it.

:mod:`~cca_arch.kvm.requests` has the ioctls, :mod:`~cca_arch.kvm.structures` their arguments,
:mod:`~cca_arch.kvm.values` what stands in them, :mod:`~cca_arch.kvm.registers` the identifiers of registers, and
:mod:`~cca_arch.kvm.realm` what no Linux has merged yet: the numbers of the public series, and our own.
"""
