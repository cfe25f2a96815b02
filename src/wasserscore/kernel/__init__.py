"""The engine: softmax-weighted sums and nearest neighbours over big point sets."""

from wasserscore.kernel.balls import in_balls as in_balls
from wasserscore.kernel.error import KernelError as KernelError
from wasserscore.kernel.error import softmax_error as softmax_error
from wasserscore.kernel.keys import Keys as Keys
from wasserscore.kernel.nearest import nearest as nearest
from wasserscore.kernel.pick import softmax_pick as softmax_pick
from wasserscore.kernel.schedule import softmax_means as softmax_means
from wasserscore.kernel.sharded import ShardedMean as ShardedMean
from wasserscore.kernel.sharded import sharded_mean as sharded_mean
from wasserscore.kernel.softmax import KernelMean as KernelMean
from wasserscore.kernel.softmax import effective_size as effective_size
from wasserscore.kernel.softmax import softmax_mean as softmax_mean
