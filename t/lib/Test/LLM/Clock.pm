package Test::LLM::Clock;

# The time that other processes see: off, or passing faster (t/shim/clock.c).
#
#   my $clock = Test::LLM::Clock->new(scale => 6);      a minute in ten seconds
#   Test::LLM::Clock->morning           seconds until 06:00 UTC: as ahead => ...,
#                                       no day or month turns during a test
#   $clock->env                         for the environment of a process
#   $clock->set(300_000);               its wall clock is five minutes ahead
#   my $other = $clock->twin;           the same time, with a wall clock of its own
#   $clock->at($t)                      what it showed at this moment of ours
#   $clock->real($seconds)              how long its seconds take us

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Spec;
use File::Temp ();
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime time);

my $T = File::Spec->rel2abs(dirname(__FILE__) . '/../../..');


sub new {
    my ($class, %o) = @_;
    my $self = bless { scale => 1, ahead => 0, real => time,
        monotonic => clock_gettime(CLOCK_MONOTONIC), %o }, $class;

    $self->{file} = File::Temp->new(TEMPLATE => 'llm-clock-XXXXXX', TMPDIR => 1);
    syswrite $self->{file}, pack 'q4', $self->{ahead} * 1000, $self->{scale},
        map { $_ * 1e9 } @$self{qw(real monotonic)};
    return $self;
}


sub morning { return (30 * 3600 - time % 86400) % 86400 }


sub twin {
    my ($self) = @_;
    return ref($self)->new(map { $_ => $self->{$_} } qw(scale ahead real monotonic));
}


sub env {
    my ($self) = @_;
    my $asan = $ENV{ASAN_OPTIONS};
    return (LLM_CLOCK_FILE => "$self->{file}",
            LD_PRELOAD => join(' ', $ENV{LD_PRELOAD} || (), _shim()),
            $asan ? (ASAN_OPTIONS => "$asan:verify_asan_link_order=0") : ());
}


sub set {
    my ($self, $ms) = @_;
    sysseek $self->{file}, 0, 0;
    syswrite $self->{file}, pack 'q', $self->{ahead} * 1000 + $ms;
}


sub scale { $_[0]{scale} }
sub real  { $_[1] / $_[0]{scale} }

sub at {
    my ($s, $t) = @_;
    return $s->{real} + $s->{ahead} + ($t - $s->{real}) * $s->{scale};
}


# built by whoever comes first
sub _shim {
    my $so = File::Spec->rel2abs("$T/../build/shim/clock.so");
    my $source = "$T/shim/clock.c";

    return $so if -e $so && -M $so <= -M $source;
    make_path(dirname($so));
    my $mine = "$so.$$";
    system('gcc', '-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-shared',
           '-fPIC', '-o', $mine, $source) == 0 or die "cannot build $source\n";
    rename $mine, $so or die "$so: $!";
    return $so;
}

1;
