# docs/rollouts.md, walked through: its configuration, its helpers and all of
# its commands in their order; states, weights and refusals are as printed there.

use lib 't/lib';
use Test::LLM;

my $doc = do { local $/; open my $f, '<:raw', 'docs/rollouts.md' or die $!; <$f> };

my ($conf) = $doc =~ /^```nginx\n(.*?)^```/ms;
my ($prelude) = $doc =~ /^```sh\n(ask\(\).*?)^```/ms;
my (@command, @printed);

for my $block ($doc =~ /^```console\n(.*?)^```/msg) {
    for (split /^/, $block) {
        if (/^\$ (.*)/) {
            push @command, $1;
            push @printed, '';

        } else {
            $printed[-1] .= $_;
        }
    }
}

cmp_ok(scalar @command, '>', 20, 'there are commands');

$conf =~ s{listen 8080;}{listen 127.0.0.1:%%PORT%%;};
$conf =~ s{/var/lib/nginx/llm}{%%DIR%%/state};

my $gw = Test::LLM::Gateway->new(conf => $conf, workers => 2);
$gw->expect_log(qr/rolled back|breaker opened|llm attempt|prematurely closed/);
$gw->start;

# ---- all of it, by one shell ----------------------------------------------------

my ($dir, $pid, $port) = ($gw->dir, $gw->pid, $gw->port);
my $script = "cd $dir\nnginx() { kill -HUP $pid; }\n$prelude\n";

for my $i (0 .. $#command) {
    $script .= "echo; echo '\@\@$i'\n$command[$i]\n";
}

# the background of the walk ends with it
$script .= "echo; echo '\@\@end'\nkill \$(jobs -p) 2> /dev/null\nwait 2> /dev/null\n";
$script =~ s/127\.0\.0\.1:8080/127.0.0.1:$port/g;
$script =~ s{/var/log/nginx/}{$dir/}g;
my $file = $gw->write('walk.sh', $script);

my $out = `timeout 120 bash $dir/walk.sh 2>&1`;
my %said = $out =~ /^\@\@(\w+)\n(.*?)(?=^\@\@|\z)/msg;

ok(defined $said{end}, 'the walk came to its end') or diag $out;

# what must be as printed: states, weights, reasons of refusals, headers
sub essence {
    my ($text) = @_;
    return join "\n", $text =~ /("state":"(?!idle|pending)\w+"|"weights":\{[^}]*\}|"code":"\w+"|"action":"\w+"|"actor":"\w+"|"enabled":\w+|"baseline":"\w+"|^x-llm-(?:provider|variant): \w+|^\d{3}$|"why":"\w+"|was rolled back)/mg;
}

for my $i (0 .. $#command) {
    my $said = $said{$i} // '';
    is(essence($said), essence($printed[$i]), $command[$i]) or diag $said;
}

if (my $to = $ENV{LLM_WALK}) {
    open my $f, '>:raw', $to or die $!;
    print $f $out;
}

finish;
